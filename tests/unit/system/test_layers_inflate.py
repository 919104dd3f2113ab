"""Compressed streams: known by their first bytes, read in bounded steps, cut off or damaged."""

import bz2
import gzip
import hashlib
import lzma
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from landbridge.errors import Internal
from landbridge.system.inflate import Hashed, Source, inflate

DATA = bytes(range(256)) * 5000


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-c", "--check"], input=data, check=True, capture_output=True).stdout


COMPRESSORS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]
if shutil.which("zstd"):
    COMPRESSORS.append(zstd)


def pieces(data: bytes, step: int) -> Iterator[bytes]:
    return (data[at : at + step] for at in range(0, len(data), step))


@pytest.mark.parametrize("compress", [*COMPRESSORS, bytes])
@pytest.mark.parametrize("step", [1000, 10**7])
def test_the_same_bytes_come_out(compress: Callable[[bytes], bytes], step: int) -> None:
    assert b"".join(inflate(pieces(compress(DATA), step))) == DATA


def test_the_mark_may_come_a_byte_at_a_time() -> None:
    assert b"".join(inflate(pieces(gzip.compress(b"hello"), 1))) == b"hello"


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_members_may_follow_each_other(compress: Callable[[bytes], bytes]) -> None:
    assert b"".join(inflate(pieces(compress(b"a" * 9) + compress(b"b"), 5))) == b"a" * 9 + b"b"


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_cut_off_is_an_error(compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Internal, match="unexpected EOF"):
        list(inflate(pieces(compress(DATA)[:-5], 1000)))


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_damage_is_an_error(compress: Callable[[bytes], bytes]) -> None:
    data = bytearray(compress(DATA))
    data[len(data) // 2] ^= 0xFF
    data[-5] ^= 0xFF
    with pytest.raises(Internal):
        list(inflate([bytes(data)]))


def test_zstd_rubbish_is_refused_in_words() -> None:
    with pytest.raises(Internal, match="zstd"):
        list(inflate([b"\x28\xb5\x2f\xfd" + b"\xff" * 100]))


@pytest.mark.parametrize("data", [b"", b"x", b"\x1f", b"hello world"])
def test_short_and_plain_streams_pass(data: bytes) -> None:
    assert b"".join(inflate([data] if data else [])) == data


@pytest.mark.parametrize("compress", COMPRESSORS)
def test_a_bomb_comes_out_in_small_pieces(compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(50 << 20))
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in inflate([bomb]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 50 << 20
    assert peak < 16 << 20  # xz keeps a dictionary of 8 MiB


def test_hashing_on_the_way() -> None:
    hashed = Hashed(pieces(DATA, 999))
    assert b"".join(hashed) == DATA
    assert (hashed.digest, hashed.size) == ("sha256:" + hashlib.sha256(DATA).hexdigest(), len(DATA))


def test_a_source_gives_what_is_asked_for() -> None:
    source = Source([b"ab", b"", b"cdef", b"g"])
    assert source.take(3) == b"abc"
    assert source.some(10) == b"def"
    assert source.take(10) == b"g"
    assert source.take(1) == source.some(1) == b""
