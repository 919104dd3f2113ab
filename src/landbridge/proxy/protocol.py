"""The control protocol in bytes: newline-delimited JSON, one message a line, both ways.

Shared by the process and its client, so that neither can drift. Pure: no sockets, no state beyond the
half-received line. Every request carries the version `v`, a sequence number `seq` and an `op`; every answer
repeats the `seq`. What arrives is checked here, once, and only `Hold` values go further.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from landbridge.errors import HoldFailed, Invalid
from landbridge.model.hold import Hold

VERSION = 1
# 10,000 holds with long keys are 2 MB; beyond this the peer is not speaking this protocol.
MAX_LINE = 64 * 1024 * 1024
PROTOCOLS = ("tcp", "udp", "sctp")
OPERATIONS = ("hello", "hold", "release", "retarget", "replace", "stats", "quit")

_FIELDS = {f.name: f for f in fields(Hold)}
_DEFAULTS = {"count": 1, "relay": True, "early": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retarget:
    """A new destination for what `key` holds; the sockets stay bound."""

    key: str
    target_ip: str
    target_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One checked request. Only the field that belongs to `op` is filled."""

    seq: int
    op: str
    holds: tuple[Hold, ...] = ()
    keys: tuple[str, ...] = ()
    targets: tuple[Retarget, ...] = field(default=())


class BadRequest(Invalid):
    """A line that is not a request; `seq` is the sender's number where it could be read, else 0."""

    def __init__(self, message: str, *, seq: int = 0) -> None:
        super().__init__(message)
        self.seq = seq


class Lines:
    """Bytes in, whole lines out, however the stream was cut."""

    __slots__ = ("_buffer", "_scanned")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each line that `data` completes, without its newline.

        Raises: BadRequest when a line grows beyond `MAX_LINE`.
        """
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._scanned)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._scanned = 0
            yield line
        self._scanned = len(self._buffer)
        if self._scanned > MAX_LINE:
            raise BadRequest(f"a line longer than {MAX_LINE} bytes")


def encode(message: Mapping[str, object]) -> bytes:
    """One message as a line."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """One line as a message. Raises: BadRequest when it is not a JSON object."""
    try:
        message = json.loads(line)
    except ValueError as error:
        raise BadRequest(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise BadRequest("not a JSON object")
    return message


def request(seq: int, op: str, **rest: object) -> bytes:
    """The line that asks for `op`."""
    return encode({"v": VERSION, "seq": seq, "op": op, **rest})


def parse_request(line: bytes) -> Request:
    """Check one request line completely. Raises: BadRequest, which carries the `seq` to answer to."""
    message = decode(line)
    seq = message.get("seq")
    if type(seq) is not int:
        raise BadRequest("seq is not a number")
    if message.get("v") != VERSION:
        raise BadRequest(f"version {message.get('v')!r} is not spoken here, {VERSION} is", seq=seq)
    op = message.get("op")
    if op not in OPERATIONS:
        raise BadRequest(f"unknown operation {op!r}", seq=seq)
    try:
        if op in ("hold", "replace"):
            return Request(seq=seq, op=op, holds=tuple(parse_hold(item) for item in _list(message, "holds")))
        if op == "release":
            return Request(seq=seq, op=op, keys=tuple(_text(key, "key") for key in _list(message, "keys")))
        if op == "retarget":
            return Request(seq=seq, op=op, targets=tuple(_retarget(item) for item in _list(message, "targets")))
    except Invalid as error:
        raise BadRequest(error.message, seq=seq) from error
    return Request(seq=seq, op=op)


def hold_to_json(hold: Hold) -> dict[str, object]:
    """A hold as the protocol writes it: defaults left out."""
    return {name: value for name, value in asdict(hold).items() if _DEFAULTS.get(name) != value}


def parse_hold(item: object) -> Hold:
    """A hold from its JSON object.

    Raises: Invalid for unknown or missing fields, wrong types, and port numbers outside 1-65535.
    """
    if not isinstance(item, dict):
        raise Invalid("a hold is an object")
    if unknown := item.keys() - _FIELDS.keys():
        raise Invalid(f"unknown fields of a hold: {', '.join(sorted(unknown))}")
    values: dict[str, Any] = _DEFAULTS | item
    try:
        for name in ("proto", "host_ip", "target_ip"):
            # The same few words in thousands of holds.
            values[name] = sys.intern(_text(values[name], name))
        hold = Hold(**values)
    except (KeyError, TypeError) as error:
        raise Invalid(f"a hold lacks fields: {error}") from error
    _text(hold.key, "key")
    if hold.proto not in PROTOCOLS:
        raise Invalid(f"{hold.key}: unknown protocol {hold.proto!r}")
    if not type(hold.relay) is type(hold.early) is bool or type(hold.count) is not int or hold.count < 1:
        raise Invalid(f"{hold.key}: relay and early are true or false, count is 1 or more")
    _check_ports(hold.key, hold.host_port, hold.count)
    if hold.relay:
        _check_ports(hold.key, hold.target_port, hold.count)
    return hold


def failure_to_json(failure: HoldFailed) -> dict[str, object]:
    """Why a hold failed, as the protocol writes it: errno name, key, and port and holder where known."""
    answer: dict[str, object] = {"reason": failure.reason, "key": failure.key, "message": failure.message}
    if failure.holder:
        answer["holder"] = failure.holder
    if failure.port:
        answer["port"] = failure.port
    return answer


def failure_from_json(item: Mapping[str, Any]) -> HoldFailed:
    """The other direction of `failure_to_json`."""
    return HoldFailed(
        str(item.get("message", "")),
        reason=str(item.get("reason", "")),
        key=str(item.get("key", "")),
        holder=str(item.get("holder", "")),
        port=int(item.get("port", 0)),
    )


def answer(seq: int, **rest: object) -> bytes:
    """The line that says `seq` is done."""
    return encode({"seq": seq, "ok": True, **rest})


def refusal(seq: int, error: Mapping[str, object]) -> bytes:
    """The line that says `seq` was not done, and nothing of it remains."""
    return encode({"seq": seq, "ok": False, "error": error})


def holds_to_json(holds: Iterable[Hold]) -> list[dict[str, object]]:
    """Many holds, as `hold` and `replace` carry them."""
    return [hold_to_json(hold) for hold in holds]


def _retarget(item: object) -> Retarget:
    if not isinstance(item, dict) or item.keys() != {"key", "target_ip", "target_port"}:
        raise Invalid("a retarget is an object of key, target_ip and target_port")
    _check_ports(_text(item["key"], "key"), item["target_port"], 1)
    return Retarget(
        key=item["key"], target_ip=_text(item["target_ip"], "target_ip"), target_port=item["target_port"]
    )


def _check_ports(key: str, first: object, count: int) -> None:
    if type(first) is not int or not 1 <= first <= 65536 - count:
        raise Invalid(f"{key}: ports {first!r} and the {count - 1} after it are not all within 1-65535")


def _list(message: Mapping[str, Any], name: str) -> list[Any]:
    value = message.get(name)
    if not isinstance(value, list):
        raise Invalid(f"{name} is not a list")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{name} is not text")
    return value
