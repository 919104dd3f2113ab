"""The kinds of error the engine knows.

A kind says what went wrong in the caller's terms, never how it is shown: `api.status` maps kinds
to HTTP codes and the command line maps them to exit codes. Messages are Docker's own words where
Docker has any, since clients match on them. Nothing here may import anything of ours.
"""


class LandbridgeError(Exception):
    """Base of every error that is an answer to the caller. Anything else that escapes is a bug."""

    kind = "internal"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(LandbridgeError):
    """The named thing does not exist."""

    kind = "not_found"


class Conflict(LandbridgeError):
    """The request is fine, the present state forbids it."""

    kind = "conflict"


class Invalid(LandbridgeError):
    """The request itself is wrong."""

    kind = "invalid"


class Forbidden(LandbridgeError):
    """Understood, and refused by policy whatever the state."""

    kind = "forbidden"


class Unauthorized(LandbridgeError):
    """Credentials are missing or wrong."""

    kind = "unauthorized"


class NotModified(LandbridgeError):
    """Nothing to do: already in the wanted state (start of a running container)."""

    kind = "not_modified"


class Unsupported(LandbridgeError):
    """A part of Docker's API that landbridge leaves out on purpose; the message says which."""

    kind = "unsupported"


class Unavailable(LandbridgeError):
    """Something needed is not there now; trying later may work."""

    kind = "unavailable"


class Unreachable(Unavailable):
    """Nobody to talk to at an address (no such host, refused, TLS that fails): asking again at once is no use."""


class Internal(LandbridgeError):
    """The engine or the kernel failed at something that should have worked."""

    kind = "internal"


class HoldFailed(Conflict):
    """A host port could not be held.

    `reason` is the errno name (``EADDRINUSE``, ``EADDRNOTAVAIL``, ``EACCES``); `key` names the binding,
    `port` the one port of it that failed (0: none in particular) and `holder` who has that port, where it
    could be found out: ``pid 123 (nginx)``.
    """

    def __init__(self, message: str, *, reason: str, key: str, holder: str = "", port: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.key = key
        self.holder = holder
        self.port = port


class StartFailed(LandbridgeError):
    """A program could not be started in its container; `exit_code` is what a shell would say (126, 127 or 128)."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        # The user named something that cannot run; anything else is the runtime's trouble.
        self.kind = "invalid" if exit_code in (126, 127) else "internal"
