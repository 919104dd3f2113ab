"""Which image a user means, and giving images names. Messages are Docker's: clients match on them."""

from collections.abc import Callable
from dataclasses import replace

from landbridge.errors import Invalid, NotFound
from landbridge.images.effects import EmitImage
from landbridge.images.records import ImageRecords
from landbridge.model.ids import is_hex
from landbridge.model.image import Image, Reference
from landbridge.model.reference import parse_any, tagged
from landbridge.model.stamp import format_ns


class ImageNames:
    """Names on top of the records. `clock` gives nanoseconds since the epoch."""

    def __init__(self, records: ImageRecords, emit: EmitImage, clock: Callable[[], int]) -> None:
        self._records = records
        self.emit = emit
        self._clock = clock

    def resolve(self, text: str) -> Image:
        """Docker's order: full id, name (``latest`` when it has no tag), unambiguous beginning of an id.

        Raises: Invalid (no name at all), NotFound (``No such image: x:latest``).
        """
        wanted = parse_any(text)
        if isinstance(wanted, str):
            found = self._visible(wanted)
            if found is None:
                raise NotFound(f"No such image: {wanted}")
            return found
        found = self._named(wanted) or self._by_prefix(text)
        if found is None:
            raise NotFound(f"No such image: {tagged(wanted)}")
        return found

    def _visible(self, identity: str | None) -> Image | None:
        return self._records.get(identity) if identity and self._records.is_visible(identity) else None

    def _named(self, reference: Reference) -> Image | None:
        """A digest decides alone: a tag beside it says nothing more."""
        key = replace(reference, tag="") if reference.digest else tagged(reference)
        return self._visible(self._records.named(key))

    def _by_prefix(self, text: str) -> Image | None:
        digits = text.removeprefix("sha256:")
        if not is_hex(digits):
            return None
        found = [image for image in self._records.visible() if image.id.startswith(f"sha256:{digits}")]
        return found[0] if len(found) == 1 else None

    def give(self, reference: Reference, identity: str, *, when: str | None = None) -> None:
        """Name the image `identity`; whoever had the name loses it. `when` it was tagged, now if not said.

        Raises: Invalid for names that could be taken for an id.
        """
        if reference.familiar == "sha256":
            raise Invalid("refusing to create an ambiguous tag using digest algorithm as name")
        self._records.set_name(reference, identity, format_ns(self._clock()) if when is None else when)
        self.emit("tag", identity, str(reference))
