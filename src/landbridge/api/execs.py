"""Handlers of exec: made under a container, started, looked at, resized."""

import asyncio
import base64
from collections.abc import AsyncIterator

from landbridge.api import streams
from landbridge.api.containers import terminal_size
from landbridge.api.duplex import Duplex
from landbridge.api.request import Request
from landbridge.api.response import JSON, Empty, Hijack, Response
from landbridge.api.router import Route
from landbridge.api.schema import decode_field, member
from landbridge.api.schema_requests import exec_request
from landbridge.api.streaming import Wanted, hijack_type, parse_detach_keys, relay
from landbridge.engine.effects import ExecProcess
from landbridge.engine.engine import Engine
from landbridge.engine.execs import Exec
from landbridge.errors import LandbridgeError
from landbridge.model.process import Chunk


class ExecStreams:
    """An exec's process as `streaming.relay` wants it."""

    def __init__(self, process: ExecProcess) -> None:
        self._process = process

    async def output(self) -> AsyncIterator[Chunk]:
        while (chunk := await self._process.receive()) is not None:
            yield chunk

    async def write(self, data: bytes) -> None:
        try:
            await self._process.write(data)
        except (BrokenPipeError, ConnectionError):
            pass  # the program has closed its input or ended; its output tells the client

    async def end_input(self) -> None:
        self._process.end_input()


class ExecHandlers:
    """One method per route. Output nobody takes any more is read away, so that the program does not hang on it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._draining: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/containers/{name:.*}/exec", self.create),
            Route("POST", "/exec/{id:.*}/start", self.start),
            Route("POST", "/exec/{id:.*}/resize", self.resize),
            Route("GET", "/exec/{id:.*}/json", self.inspect),
        ]

    async def create(self, request: Request) -> Response:
        config = exec_request(await request.json_object(may_be_empty=True))
        parse_detach_keys(config.detach_keys)
        made = self._engine.execs.create(request.params["name"], config)
        return JSON({"Id": made.id}, status=201)

    async def start(self, request: Request) -> Response:
        document = await request.json_object(may_be_empty=True)
        struct = "ExecStartOptions"
        detach: bool = decode_field(bool, member(document, "Detach"), struct, "Detach")
        tty: bool = decode_field(bool, member(document, "Tty"), struct, "Tty")
        size = decode_field(tuple[int, int] | None, member(document, "ConsoleSize"), struct, "ConsoleSize") or (0, 0)
        made = self._engine.execs.get(request.params["id"])
        if detach:
            process = await self._engine.execs.start(made.id, size=size)
            self._drain(process)
            return Empty(status=200)

        async def run(duplex: Duplex) -> None:
            await self._run(made, duplex, tty=tty, size=size)

        return Hijack(run, content_type=hijack_type(request, tty=tty))

    async def _run(self, made: Exec, duplex: Duplex, *, tty: bool, size: tuple[int, int]) -> None:
        try:
            process = await self._engine.execs.start(made.id, size=size)
        except LandbridgeError as error:
            # The head has gone: Docker, too, says it on the program's own output.
            await duplex.write(streams.writer(tty=tty)(streams.STDOUT, f"{error.message}\r\n".encode()))
            return
        config = made.config
        wanted = Wanted(
            stdin=config.attach_stdin, stdout=config.attach_stdout, stderr=config.attach_stderr, tty=tty,
            detach_keys=parse_detach_keys(config.detach_keys),
        )  # fmt: skip
        finished = False
        try:
            finished = not await relay(ExecStreams(process), duplex, wanted)
            if finished:
                # Clients ask for the exit code as soon as the stream ends.
                await process.wait()
        finally:
            if finished:
                process.close()
            else:
                self._drain(process)

    def _drain(self, process: ExecProcess) -> None:
        async def drain() -> None:
            while await process.receive() is not None:
                pass
            process.close()

        task = asyncio.get_running_loop().create_task(drain())
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)

    async def resize(self, request: Request) -> Response:
        rows, columns = terminal_size(request)
        await self._engine.execs.resize(request.params["id"], rows=rows, columns=columns)
        return Empty(status=200)

    async def inspect(self, request: Request) -> Response:
        made = self._engine.execs.get(request.params["id"])
        config = made.config
        return JSON({
            "ID": made.id,
            "Running": made.running,
            "ExitCode": made.exit_code,
            "ProcessConfig": {
                "tty": config.tty,
                "entrypoint": config.cmd[0],
                "arguments": list(config.cmd[1:]),
                "privileged": config.privileged,
                **({"user": config.user} if config.user else {}),
            },
            "OpenStdin": config.attach_stdin,
            "OpenStderr": config.attach_stderr,
            "OpenStdout": config.attach_stdout,
            "CanRemove": False,
            "ContainerID": made.container,
            "DetachKeys": _keys(config.detach_keys),
            "Pid": made.pid,
        })


def _keys(text: str) -> str:
    """Detach keys as Go writes bytes: base64."""
    return base64.b64encode(parse_detach_keys(text)).decode() if text else ""
