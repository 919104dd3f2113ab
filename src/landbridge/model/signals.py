"""Signals as users name them."""

import re
import signal

from landbridge.errors import Invalid

_NAMES = {one.name.removeprefix("SIG"): int(one) for one in signal.Signals}
_NAMES |= {"RTMIN": 34, "RTMAX": 64, "IOT": int(signal.SIGABRT), "POLL": int(signal.SIGIO)}

_NUMBER = re.compile("[0-9]{1,3}")


def signal_number(text: str) -> int:
    """``9``, ``KILL``, ``sigkill``, ``RTMIN+3`` → number. Raises: Invalid with Docker's sentence."""
    name = text.upper().removeprefix("SIG")
    if _NUMBER.fullmatch(text) and int(text):
        if int(text) > 64:
            raise Invalid(f"the linux daemon does not support signal {int(text)}")
        return int(text)
    if name in _NAMES:
        return _NAMES[name]
    for base, step in (("RTMIN+", 1), ("RTMAX-", -1)):
        if name.startswith(base) and _NUMBER.fullmatch(name[len(base) :]):
            number = _NAMES[base[:-1]] + step * int(name[len(base) :])
            if 34 <= number <= 64:
                return number
    raise Invalid(f"invalid signal: {text}")
