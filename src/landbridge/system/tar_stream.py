"""Reading a tar archive once, front to back, member by member.

The reader gives every byte that is not payload to `keep`, so that the archive can be written again
exactly (`system.split`). Payload is taken by the caller; what the caller leaves is kept as well.
"""

from collections.abc import Callable, Iterator

from landbridge.errors import Internal
from landbridge.model.layer import XATTR_PAX, Member
from landbridge.system import tar_headers as headers
from landbridge.system.inflate import STEP, Source
from landbridge.system.tar_headers import BLOCK, Header

_SPECIAL_MOST = 1 << 20  # of one PAX header, long name or sparse map; Go's limit too
_ZERO = bytes(BLOCK)
_NO_PAYLOAD = frozenset("123456")


class TarStream:
    """`next()` gives members until None; `payload()` the stored bytes of the last one."""

    def __init__(self, source: Source, keep: Callable[[bytes], object]) -> None:
        self._source = source
        self._keep = keep
        self._left = 0  # stored payload not yet taken
        self._padding = 0
        self._ended = False

    def next(self) -> Member | None:
        """The next member, or None after the last; then the rest of the stream has been kept.

        Raises: Internal when the archive is damaged or ends inside a member.
        """
        for piece in self.payload():
            self._keep(piece)
        if self._padding:
            self._kept(self._padding)
            self._padding = 0
        if self._ended:
            return None
        records: list[tuple[str, bytes]] = []
        long_name = long_link = b""
        while header := self._header():
            match header.type:
                case "x":
                    records = headers.parse_pax(self._special(header))
                case "L":
                    long_name = self._special(header).partition(b"\0")[0]
                case "K":
                    long_link = self._special(header).partition(b"\0")[0]
                case _:
                    header.name = long_name or header.name
                    header.link = long_link or header.link
                    return self._member(header, records)
        if records or long_name or long_link:
            raise Internal("unexpected EOF")
        self._ended = True
        for piece in self._source.rest():
            self._keep(piece)
        return None

    def payload(self) -> Iterator[bytes]:
        """What is left of the last member's stored bytes. Raises: Internal when the stream ends before."""
        while self._left:
            piece = self._source.some(min(self._left, STEP))
            if not piece:
                raise Internal("unexpected EOF")
            self._left -= len(piece)
            yield piece

    def take(self, most: int) -> bytes:
        """Up to `most` of the payload in one piece; for areas of sparse files."""
        piece = self._source.some(min(self._left, most))
        if not piece and self._left:
            raise Internal("unexpected EOF")
        self._left -= len(piece)
        return piece

    def _kept(self, size: int) -> bytes:
        data = self._source.take(size)
        self._keep(data)
        if len(data) < size:
            raise Internal("unexpected EOF")
        return data

    def _header(self) -> Header | None:
        """None at the end: two zero blocks, or a stream that stops between members (Go takes that too)."""
        block = self._source.take(BLOCK)
        self._keep(block)
        if block == _ZERO:
            second = self._source.take(BLOCK)
            self._keep(second)
            if 0 < len(second) < BLOCK:
                raise Internal("unexpected EOF")
            if second not in (_ZERO, b""):
                raise headers.invalid()
            return None
        if not block:
            return None
        if len(block) < BLOCK:
            raise Internal("unexpected EOF")
        return headers.parse_header(block)

    def _special(self, header: Header) -> bytes:
        if header.size > _SPECIAL_MOST:
            raise Internal("archive/tar: header field too long")
        data = self._kept(header.size)
        if header.size % BLOCK:
            self._kept(BLOCK - header.size % BLOCK)
        return data

    def _member(self, header: Header, records: list[tuple[str, bytes]]) -> Member:
        pax = dict(records)
        size = headers.decimal(pax["size"]) if "size" in pax else header.size
        stored = 0 if header.type in _NO_PAYLOAD else size
        self._left = stored
        self._padding = -stored % BLOCK
        areas, real = self._sparse(header, records, pax, stored)
        if areas is not None:
            sparse = headers.check_sparse(areas, size=real, stored=self._left)
            stored, size = self._left, real
        name = pax.get("GNU.sparse.name") or pax.get("path") or header.name
        mtime = headers.nanoseconds(pax["mtime"]) if pax.get("mtime") else header.mtime * 1_000_000_000
        return Member(
            name=headers.text(name),
            type="0" if header.type == "S" else header.type,
            size=size if header.type not in _NO_PAYLOAD else 0,
            stored=stored,
            mode=header.mode & 0o7777,
            uid=headers.decimal(pax["uid"]) if pax.get("uid") else header.uid,
            gid=headers.decimal(pax["gid"]) if pax.get("gid") else header.gid,
            mtime_ns=mtime,
            atime_ns=max(mtime, headers.nanoseconds(pax["atime"])) if pax.get("atime") else mtime,
            link=headers.text(pax.get("linkpath") or header.link),
            device=(header.major, header.minor),
            xattrs=tuple((key[len(XATTR_PAX) :], value) for key, value in pax.items() if key.startswith(XATTR_PAX)),
            sparse=sparse if areas is not None else None,
        )

    def _sparse(
        self, header: Header, records: list[tuple[str, bytes]], pax: dict[str, bytes], stored: int
    ) -> tuple[list[tuple[int, int]] | None, int]:
        """(data areas or None, real size) by any of the four formats."""
        if header.type == "S":
            areas, more, real = headers.gnu_sparse(header.block)
            while more:
                found, more = headers.gnu_sparse_more(self._kept(BLOCK))
                areas += found
                if len(areas) * 24 > _SPECIAL_MOST:
                    raise headers.invalid()
            return areas, real
        if not any(key.startswith("GNU.sparse.") for key in pax):
            return None, 0
        if pax.get("GNU.sparse.major") == b"1":
            return self._sparse_map(), headers.decimal(pax.get("GNU.sparse.realsize", b""))
        return headers.pax_sparse(records), headers.decimal(pax.get("GNU.sparse.size") or str(stored).encode())

    def _sparse_map(self) -> list[tuple[int, int]]:
        """Format 1.0: the map is lines of decimals at the start of the payload, padded to whole blocks."""
        data = b""
        wanted = 1
        while data.count(b"\n") < wanted:
            if self._left < BLOCK or len(data) > _SPECIAL_MOST:
                raise headers.invalid()
            data += self._kept(BLOCK)
            self._left -= BLOCK
            if b"\n" in data:
                wanted = 1 + 2 * headers.decimal(data.partition(b"\n")[0])
        flat = [headers.decimal(line) for line in data.split(b"\n")[1:wanted]]
        return list(zip(flat[::2], flat[1::2], strict=True))
