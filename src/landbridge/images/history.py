"""``docker history`` from an image's records. Pure."""

from collections.abc import Sequence

from landbridge.model.image import HistoryLine, Image


def history_lines(image: Image, sizes: Sequence[int], known: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[
    HistoryLine, ...
]:
    """One line per step, newest first.

    `sizes` are those of the layers, bottom first; steps without a layer have none. `known` are (id, tags) of the
    image and its parents, newest first: they name the first lines, the others show ``<missing>``.
    """
    left = list(sizes)
    oldest_first = [(item, left.pop(0) if left and not item.empty_layer else 0) for item in image.history]
    lines = []
    for number, (item, size) in enumerate(reversed(oldest_first)):
        identity, tags = known[number] if number < len(known) else ("<missing>", ())
        lines.append(
            HistoryLine(
                id=identity,
                created=item.created,
                created_by=item.created_by,
                comment=item.comment,
                size=size,
                tags=tags,
            )
        )
    return tuple(lines)
