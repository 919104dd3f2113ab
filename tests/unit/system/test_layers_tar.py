"""Reading tar: every format a writer may choose, archives cut off anywhere, and numbers that lie."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.errors import Internal
from landbridge.model.layer import Member
from landbridge.system.inflate import Source
from landbridge.system.tar_headers import nanoseconds, number, parse_pax
from landbridge.system.tar_stream import TarStream


def read(data: bytes, step: int = 700) -> tuple[list[tuple[Member, bytes]], bytes]:
    """(members with their payloads, everything else)."""
    kept = bytearray()
    tar = TarStream(Source(data[at : at + step] for at in range(0, len(data), step)), kept.extend)
    found = []
    while member := tar.next():
        found.append((member, b"".join(tar.payload())))
    return found, bytes(kept)


def write(format: int, *members: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for wanted in members:
            info = tarfile.TarInfo(wanted["name"])
            data = wanted.pop("data", b"")
            info.size = len(data)
            for key, value in wanted.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_all_that_a_header_says(format: int) -> None:
    long = "d" * 90 + "/" + "f" * 90
    data = write(
        format,
        {"name": long, "data": b"x" * 1000, "mode": 0o4755, "uid": 7, "gid": 8, "mtime": 99},
        {"name": "l", "type": tarfile.SYMTYPE, "linkname": "t" * 100},
        {"name": "h", "type": tarfile.LNKTYPE, "linkname": "f"},
        {"name": "c", "type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3},
        {"name": "d", "type": tarfile.DIRTYPE},
        {"name": "p", "type": tarfile.FIFOTYPE},
    )
    (file, payload), (link, _), (hard, _), (char, _), (folder, _), (fifo, _) = read(data)[0]
    assert (file.name, file.mode, file.uid, file.gid, file.mtime_ns) == (long, 0o4755, 7, 8, 99 * 10**9)
    assert (file.size, file.stored, payload) == (1000, 1000, b"x" * 1000)
    assert (link.type, link.link) == ("2", "t" * 100)
    assert (hard.type, hard.link, char.device) == ("1", "f", (1, 3))
    assert (folder.type, folder.name, fifo.type) == ("5", "d/", "6")


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_ustar_cannot_say(format: int) -> None:
    name, target = "ü" * 200, "ö" * 200
    data = write(format, {"name": name, "type": tarfile.SYMTYPE, "linkname": target, "uid": 3_000_000})
    ((member, _),) = read(data)[0]
    assert (member.name, member.link, member.uid) == (name, target, 3_000_000)


def test_pax_records() -> None:
    records = {"mtime": "1.000000005", "atime": "2.5", "SCHILY.xattr.user.x": "v=w", "path": "other"}
    ((member, _),) = read(write(tarfile.PAX_FORMAT, {"name": "f", "pax_headers": records}))[0]
    assert (member.name, member.mtime_ns, member.atime_ns) == ("other", 1_000_000_005, 2_500_000_000)
    assert member.xattrs == (("user.x", b"v=w"),)


def test_a_capability_is_kept_byte_for_byte() -> None:
    value = b"\x01\x00\x00\x02\x00\xff\n="
    text = value.decode("utf-8", "surrogateescape")
    ((member, _),) = read(write(tarfile.PAX_FORMAT, {"name": "f", "pax_headers": {"SCHILY.xattr.security.x": text}}))[0]
    assert member.xattrs == (("security.x", value),)


@pytest.mark.parametrize(
    "flags", [["--format=gnu"], *(["--format=pax", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))]
)
def test_sparse_files_of_gnu_tar(flags: list[str], tmp_path: Path) -> None:
    """Thirty areas, so that every format needs more than its first block."""
    path = tmp_path / "sparse"
    areas = []
    with path.open("wb") as file:
        for at in range(30):
            file.seek(at * 65536)
            file.write(bytes([at + 1]) * 4096)
            areas.append((at * 65536, 4096))
        file.truncate(5_000_000)
    archive = subprocess.run(["tar", "-cS", *flags, "-C", tmp_path, "sparse"], check=True, capture_output=True).stdout
    ((member, payload),) = read(archive)[0]
    assert (member.name, member.type, member.size) == ("sparse", "0", 5_000_000)
    assert [area for area in member.sparse or () if area[1]] == areas
    assert payload == b"".join(bytes([at + 1]) * 4096 for at in range(30))


def plain() -> bytes:
    return write(tarfile.PAX_FORMAT, {"name": "a", "data": b"x" * 700}, {"name": "ü" * 60, "data": b"y"})


def test_every_byte_is_payload_or_kept() -> None:
    data = plain()
    members, kept = read(data, 1)
    assert len(kept) + sum(len(payload) for _, payload in members) == len(data)
    assert kept.startswith(data[:512])
    assert kept.endswith(bytes(1024))


def test_what_the_reader_leaves_is_kept() -> None:
    data = plain()
    kept = bytearray()
    tar = TarStream(Source([data]), kept.extend)
    while tar.next():
        pass
    assert bytes(kept) == data


@settings(deadline=None)
@given(st.integers(0, len(plain()) - 1))
def test_cut_off_anywhere_it_is_an_error_or_ends_between_members(cut: int) -> None:
    data = plain()
    whole = read(data)[0]
    try:
        members, _ = read(data[:cut])
    except Internal as error:
        assert error.message == "unexpected EOF"
        return
    # Go's reader, too, takes the end of the stream where a header could begin as the end of the archive; what
    # follows the two zero blocks is padding of any length.
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    assert cut % 512 == 0 or cut > end + 1024
    assert members == whole[: len(members)]


@settings(deadline=None)
@given(st.integers(0, 511), st.integers(1, 255))
def test_a_damaged_header_is_seen(at: int, change: int) -> None:
    data = bytearray(write(tarfile.USTAR_FORMAT, {"name": "a", "data": b"x" * 700}))
    data[at] ^= change
    try:
        members, _ = read(bytes(data))
    except Internal:
        return
    # Only padding of the checksum field itself may change unnoticed.
    assert 148 <= at < 156
    assert members[0][1] == b"x" * 700


@settings(deadline=None)
@given(st.binary(max_size=3000))
def test_noise_is_an_error_or_nothing(noise: bytes) -> None:
    try:
        read(noise)
    except Internal:
        pass


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_pax_noise_is_an_error_or_records(noise: bytes) -> None:
    try:
        for key, _ in parse_pax(noise):
            assert key
    except Internal:
        pass


@pytest.mark.parametrize(
    "payload", [b"5", b"5 a=", b"99 path=x\n", b"7 path=x\n", b"9 path=xy", b"3 =\n", b"-9 a=b\n", b"0 \n"]
)
def test_pax_records_that_lie(payload: bytes) -> None:
    with pytest.raises(Internal, match="invalid tar header"):
        parse_pax(payload)


def test_an_endless_pax_header_is_not_read() -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = b"x", 8 << 30
    with pytest.raises(Internal, match="too long"):
        read(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))


def test_a_sparse_map_that_overlaps_or_lies_is_refused() -> None:
    for map_ in ("0,10,5,10", "10,10,0,10", "0,10", "0,21", "0,10,100,10", "0"):
        records = {"GNU.sparse.map": map_, "GNU.sparse.size": "50", "GNU.sparse.name": "s"}
        with pytest.raises(Internal):
            read(write(tarfile.PAX_FORMAT, {"name": "f", "data": b"x" * 20, "pax_headers": records}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"\0" * 8, 0),
        (b"\x80" + (7).to_bytes(7, "big"), 7),
        (b"\xff" * 8, -1),
    ],
)
def test_numbers(field: bytes, value: int) -> None:
    assert number(field) == value


def test_numbers_refused() -> None:
    with pytest.raises(Internal):
        number(b"0000849\0")


@pytest.mark.parametrize(
    ("text", "value"), [(b"1", 10**9), (b"1.5", 15 * 10**8), (b"-1.5", -15 * 10**8), (b"0.1234567891", 123456789)]
)
def test_times(text: bytes, value: int) -> None:
    assert nanoseconds(text) == value
