"""Error kinds as HTTP status, and the body Docker's clients expect with it.

The only place in the project with status numbers for errors: everything else raises a kind from
`landbridge.errors`. A body is always `{"message": ...}`; its text is the error's own. An exception
that is no `LandbridgeError` is a bug: it is logged with its traceback and answered with 500.
"""

import logging

from landbridge.api.response import JSON, Empty
from landbridge.errors import LandbridgeError, NotModified

STATUS = {
    "not_found": 404,
    "conflict": 409,
    "invalid": 400,
    "forbidden": 403,
    "unauthorized": 401,
    "not_modified": 304,
    "unsupported": 501,
    "unavailable": 503,
    "internal": 500,
}

log = logging.getLogger("landbridge.api")


def error_reply(error: Exception) -> JSON | Empty:
    """The reply for an exception that ended a handler before it answered. Never raises."""
    if isinstance(error, NotModified):
        return Empty(status=STATUS[error.kind])
    if isinstance(error, LandbridgeError):
        return JSON({"message": error.message}, status=STATUS.get(error.kind, STATUS["internal"]))
    log.error("a handler failed", exc_info=error)
    return JSON({"message": describe(error)}, status=STATUS["internal"])


def describe(error: Exception) -> str:
    """The text a client is shown; an exception without text is named by its class."""
    if isinstance(error, LandbridgeError):
        return error.message
    return str(error) or type(error).__name__
