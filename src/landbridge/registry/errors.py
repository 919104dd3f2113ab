"""How talk with a registry fails, and what of it is worth another try.

Everything here is an `Internal` for the client, as with Docker (status 500 with the registry's own words), but for
what a pull says about images that are not there: `for_pull`.
"""

import email.utils
import random
import time

from landbridge.errors import Internal, LandbridgeError, NotFound, Unavailable, Unreachable
from landbridge.model.image import Reference
from landbridge.model.reference import tagged
from landbridge.oci.registry_errors import Refusal

ATTEMPTS = 5
FIRST_DELAY = 0.5
LONGEST_DELAY = 10.0
LONGEST_ASKED = 60.0  # a registry that says "later than this" gets no further question


class Refused(Internal):
    """The registry answered, with a refusal. `retry_after` is its header of that name."""

    def __init__(self, refusal: Refusal, retry_after: str = "") -> None:
        super().__init__(refusal.text)
        self.refusal = refusal
        self.retry_after = retry_after


class AuthFailed(Internal):
    """We could not prove who we are. `bare` is the reason without the request it stopped."""

    def __init__(self, bare: str, request: str = "") -> None:
        super().__init__(f"{request}: {bare}" if request else bare)
        self.bare = bare


class WrongContent(Internal):
    """What came is not what was promised by digest or size."""


def delay_before_retry(error: LandbridgeError, failures: int) -> float | None:
    """Seconds to wait after `failures` failed attempts; None: another try is no use."""
    if failures >= ATTEMPTS:
        return None
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** (failures - 1))
    delay *= random.uniform(0.75, 1.25)  # so that many clients do not come back at once
    if isinstance(error, Refused):
        if error.refusal.status != 429 and error.refusal.status < 500:
            return None
        asked = _asked(error.retry_after)
        return None if asked > LONGEST_ASKED else max(asked, delay)
    return delay if isinstance(error, Unavailable) and not isinstance(error, Unreachable) else None


def _asked(retry_after: str) -> float:
    """``Retry-After`` in seconds, given as such or as a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return 0.0
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0  # not a date either: our own delay then


def for_pull(error: LandbridgeError, reference: Reference) -> LandbridgeError:
    """`error` as a pull tells it: what is not there, or not for us, is NotFound with Docker's sentence."""
    if isinstance(error, Unavailable):
        return Internal(error.message)
    if not isinstance(error, Refused):
        return error
    match error.refusal.code:
        case "DENIED":
            return NotFound(
                f"pull access denied for {reference.familiar}, repository does not exist or may require"
                f" 'docker login': {error.message}"
            )
        case "MANIFEST_UNKNOWN":
            return NotFound(f"manifest for {tagged(reference)} not found: {error.message}")
        case "NAME_UNKNOWN":
            return NotFound(f"repository {reference.familiar} not found: {error.message}")
    return error


def for_push(error: LandbridgeError) -> LandbridgeError:
    """`error` as a push tells it."""
    if isinstance(error, AuthFailed):
        return Internal(error.bare)
    return Internal(error.message) if isinstance(error, Unavailable) else error
