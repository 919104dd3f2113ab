"""A real server on a temporary unix socket, its event loop in a thread, for clients that block."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiserving import PATIENCE, Serve, Serving

from landbridge.api.router import Route, Router
from landbridge.api.server import Server, api_headers


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    left = asyncio.run_coroutine_threadsafe(_tasks(), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()
    assert not left, f"tasks left behind: {left}"


async def _tasks() -> list[str]:
    await asyncio.sleep(0)
    return [repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]


@pytest.fixture
def serve(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> Iterator[Serve]:
    """`serve(Route(...), ...)` -> a `Serving` on its own socket, closed after the test."""
    started: list[Serving] = []

    def start(*routes: Route) -> Serving:
        path = str(tmp_path / f"api{len(started)}.sock")

        async def listen() -> Server:
            server = Server(Router(routes).respond, api_headers(api_version="1.51", server_version="28.3.3"))
            await server.listen_unix(path)
            return server

        server = asyncio.run_coroutine_threadsafe(listen(), loop).result(PATIENCE)
        serving = Serving(path, loop, server)
        started.append(serving)
        return serving

    yield start
    for serving in started:
        serving.close()
