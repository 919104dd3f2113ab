"""How a command ends when it does not end well: the few exceptions the command line knows.

Text for the user is made where the error is raised; `main` only prints it and returns the status. No exception
here carries a traceback to the user.
"""

from landbridge.errors import LandbridgeError


class ExitWith(LandbridgeError):
    """End with `status`; `message`, if any, goes to stderr as it is."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status


class UsageError(LandbridgeError):
    """A flag was given wrongly: message, usage line, hint; status 125."""


class ArgumentCount(LandbridgeError):
    """Wrong number of positional arguments (`what`: "requires at least 1 argument"); status 1."""


class CommandError(LandbridgeError):
    """A plain failure: the message on stderr and status 1 (125 and another shape for `run` and `create`)."""


class OptionError(CommandError):
    """Options of `run` or `create` that are well-formed and do not make sense; status 125 for both."""


class DaemonError(CommandError):
    """The daemon answered with an error. `code` is the HTTP status, `answer` its message as sent."""

    def __init__(self, code: int, answer: str) -> None:
        super().__init__(f"Error response from daemon: {answer}")
        self.code = code
        self.answer = answer


class Unreachable(CommandError):
    """No daemon at the other end."""
