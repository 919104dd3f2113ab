"""Blocks of a tar archive as values: ustar, GNU and star headers, PAX records, sparse maps.

Bytes in, values out; no reading here (see `tar_stream`). Follows POSIX.1-2001 pax and, where archives in the
wild differ, what Go's archive/tar accepts, since images are made and read with it.
"""

from dataclasses import dataclass, field

from landbridge.errors import Internal

BLOCK = 512
Sparse = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Header:
    """One header block as written, before PAX records and GNU long names are applied."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    type: str
    link: bytes
    major: int
    minor: int
    gnu: bool
    block: bytes = field(repr=False)


def invalid() -> Internal:
    """The error for anything that is not a tar header."""
    return Internal("archive/tar: invalid tar header")


def text(raw: bytes) -> str:
    """A file name or link target as text; any byte survives."""
    return raw.decode("utf-8", "surrogateescape")


def _cut(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def number(raw: bytes) -> int:
    """A numeric field: octal digits, or base 256 where the top bit is set (GNU, star).

    Raises: Internal when it is neither.
    """
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big", signed=True) if raw[0] & 0x40 else int.from_bytes(raw, "big")
        return value if value < 0 else value & ((1 << (8 * len(raw) - 1)) - 1)
    digits = raw.strip(b" \0").partition(b"\0")[0]
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        raise invalid() from None


def parse_header(block: bytes) -> Header:
    """Read one 512-byte header. Raises: Internal when the checksum or a field is wrong."""
    written = number(block[148:156])
    plain = sum(block) - sum(block[148:156]) + 8 * 0x20
    if written != plain and written != plain - 256 * sum(byte > 127 for byte in block[:148] + block[156:]):
        raise invalid()
    magic = block[257:265]
    posix, gnu = magic == b"ustar\x0000", magic == b"ustar  \0"
    star = posix and block[508:512] == b"tar\0"
    name = _cut(block[:100])
    if posix and (prefix := _cut(block[345:476] if star else block[345:500])):
        name = prefix + b"/" + name
    kind = block[156:157].decode("latin-1")
    if kind == "\0":
        kind = "5" if name.endswith(b"/") else "0"
    known = posix or gnu
    size = number(block[124:136])
    if size < 0:
        raise invalid()
    return Header(
        name=name,
        mode=number(block[100:108]),
        uid=number(block[108:116]),
        gid=number(block[116:124]),
        size=size,
        mtime=number(block[136:148]),
        type=kind,
        link=_cut(block[157:257]),
        major=number(block[329:337]) if known and kind in "34" else 0,
        minor=number(block[337:345]) if known and kind in "34" else 0,
        gnu=gnu,
        block=block,
    )


def parse_pax(data: bytes) -> list[tuple[str, bytes]]:
    """The records ``<length> <key>=<value>\\n`` of an extended header, in order (sparse 0.0 repeats keys)."""
    records = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            raise invalid()
        end = at + int(digits)
        record = data[space + 1 : end - 1]
        key, equals, value = record.partition(b"=")
        if end > len(data) or end <= space + 1 or data[end - 1 : end] != b"\n" or not equals or not key:
            raise invalid()
        records.append((text(key), value))
        at = end
    return records


def decimal(raw: bytes) -> int:
    """A non-negative decimal of a PAX record."""
    if not raw.isdigit():
        raise invalid()
    return int(raw)


def nanoseconds(raw: bytes) -> int:
    """A PAX time, ``[-]seconds[.fraction]``, in nanoseconds."""
    whole, _, fraction = raw.partition(b".")
    negative = whole.startswith(b"-")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or (fraction and not fraction.isdigit()):
        raise invalid()
    value = int(digits) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or b"0")
    return -value if negative else value


def gnu_sparse(block: bytes) -> tuple[list[tuple[int, int]], bool, int]:
    """Sparse areas in an old GNU header: (areas, more blocks follow, real size)."""
    return _areas(block, 386, 4), bool(block[482]), number(block[483:495])


def gnu_sparse_more(block: bytes) -> tuple[list[tuple[int, int]], bool]:
    """Sparse areas in an extension block of an old GNU header: (areas, more blocks follow)."""
    return _areas(block, 0, 21), bool(block[504])


def _areas(block: bytes, start: int, count: int) -> list[tuple[int, int]]:
    found = []
    for at in range(start, start + 24 * count, 24):
        if block[at] == 0:
            break
        found.append((number(block[at : at + 12]), number(block[at + 12 : at + 24])))
    return found


def pax_sparse(records: list[tuple[str, bytes]]) -> list[tuple[int, int]] | None:
    """The map of PAX sparse formats 0.0 and 0.1, or None when the records have none."""
    flat: list[int] = []
    for key, value in records:
        if key == "GNU.sparse.map" and value:
            flat = [decimal(part) for part in value.split(b",")]
        elif key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            flat.append(decimal(value))
    if not flat and not any(key == "GNU.sparse.map" for key, _ in records):
        return None
    if len(flat) % 2:
        raise invalid()
    return list(zip(flat[::2], flat[1::2], strict=True))


def check_sparse(areas: list[tuple[int, int]], *, size: int, stored: int) -> Sparse:
    """`areas` when they are in order, do not overlap, end within `size` and add up to `stored`."""
    at = total = 0
    for offset, length in areas:
        if offset < at or length < 0:
            raise invalid()
        at = offset + length
        total += length
    if at > size or total != stored:
        raise invalid()
    return tuple(areas)
