"""Filters of lists and prunes as the API takes them: values by name. What each name means is said where it is read."""

from collections.abc import Mapping, Sequence

from landbridge.errors import Invalid

Filters = Mapping[str, Sequence[str]]


def flag(filters: Filters, name: str) -> bool | None:
    """A yes-or-no filter; None when it is absent. Raises: Invalid."""
    values = filters.get(name)
    if not values:
        return None
    read = {"1": True, "true": True, "True": True, "0": False, "false": False, "False": False}
    if len(values) != 1 or values[0] not in read:
        raise Invalid(f"invalid filter '{name}=[{' '.join(values)}]'")
    return read[values[0]]
