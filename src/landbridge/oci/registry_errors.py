"""What a registry says when it refuses: the error document of the distribution specification. Pure.

`refusal` turns an answer into one code and message, in the words Docker's clients know: "denied: requested access
to the resource is denied", "manifest unknown: manifest unknown". How that ends for the user is the engine's.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from landbridge.oci.challenge import Challenge

_SHOWN = 1024  # bytes of a body that is quoted in a message

_MESSAGES = {
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "TOOMANYREQUESTS": "too many requests",
    "UNSUPPORTED": "The operation is unsupported.",
    "NAME_UNKNOWN": "repository name not known to registry",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "BLOB_UNKNOWN": "blob unknown to registry",
}
_BEARER_ERRORS = {"invalid_token": "UNAUTHORIZED", "insufficient_scope": "DENIED"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` is the specification's (``MANIFEST_UNKNOWN``), empty when the answer had none."""

    status: int
    code: str
    text: str


def refusal(status: int, body: bytes, challenges: Iterable[Challenge] = ()) -> Refusal:
    """What an answer of 300 or more means."""
    if not 400 <= status < 500:
        return Refusal(status, "", f"received unexpected HTTP status: {status_line(status)}")
    for challenge in challenges:
        code = _BEARER_ERRORS.get(challenge.parameters.get("error", "")) if challenge.scheme == "bearer" else None
        if code:
            message = challenge.parameters.get("error_description") or _MESSAGES[code]
            return Refusal(status, code, _say(code, message))
    return _from_body(status, body)


def status_line(status: int) -> str:
    """``404 Not Found``."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _say(code: str, message: str) -> str:
    return f"{code.lower().replace('_', ' ')}: {message}"


def _from_body(status: int, body: bytes) -> Refusal:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        return _unreadable(status, body, str(error))
    if not isinstance(document, dict):
        return _unreadable(status, body, "not an object")
    details = document.get("details")
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else None
    if first is None:
        implied = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}.get(status, "")
        if implied and isinstance(details, str) and details:
            return Refusal(status, implied, _say(implied, details))
        return _unreadable(status, body, "no error details found in HTTP response body")
    named, message = first.get("code"), first.get("message")
    code = named if isinstance(named, str) and named else "UNKNOWN"
    shown = message if isinstance(message, str) and message else _MESSAGES.get(code, "unknown error")
    return Refusal(status, code, _say(code, shown))


def _unreadable(status: int, body: bytes, why: str) -> Refusal:
    if status == 401:
        return Refusal(status, "UNAUTHORIZED", _say("UNAUTHORIZED", _MESSAGES["UNAUTHORIZED"]))
    if status == 429:
        return Refusal(status, "TOOMANYREQUESTS", _say("TOOMANYREQUESTS", _MESSAGES["TOOMANYREQUESTS"]))
    quoted = json.dumps(body[:_SHOWN].decode("utf-8", "replace"), ensure_ascii=False)
    return Refusal(status, "", f"error parsing HTTP {status} response body: {why}: {quoted}")
