"""Layers on a real file system: what an archive says is what is there, and nothing is anywhere else.

Messages of refusals are those a real Docker 26.1 gave for the same archives.
"""

import gzip
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from images_on_disk import BLK, CHR, DIR, FIFO, LINK, SYM, chunks, entry, listing, tar, unpack

from landbridge.errors import Internal
from landbridge.model.layer import Change
from landbridge.oci.layers import opaque_name, place, whiteout_name
from landbridge.system.layers import LayerStore

pytestmark = pytest.mark.kernel

CAPABILITY = b"\1\0\0\2\0\4" + bytes(14)  # cap_net_bind_service+ep


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "layers")


def names(store_root: Path) -> list[str]:
    return sorted(os.listdir(store_root / "layers"))


def full() -> bytes:
    capability = {"SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape")}
    return tar(
        entry("bin", DIR, mode=0o755, mtime=1000),
        entry("bin/su", data=b"su", mode=0o4755, uid=0, gid=0, mtime=1234),
        entry("bin/ping", data=b"ping", mode=0o755, pax_headers=capability),
        entry("shared", DIR, mode=0o2775, gid=50, uid=3),
        entry("shared/f", data=b"x", mode=0o640, uid=7, gid=8),
        entry("bin/sudo", LINK, linkname="bin/su"),
        entry("lib", SYM, linkname="usr/lib"),
        entry("lib2", LINK, linkname="lib"),
        entry("null", CHR, devmajor=1, devminor=3, mode=0o666),
        entry("loop", BLK, devmajor=7, devminor=0, mode=0o660, gid=6),
        entry("pipe", FIFO, mode=0o600),
        entry("tmp", DIR, mode=0o1777),
        entry("deep/without/parents", data=b"z"),
        entry("n" * 90 + "/" + "ü" * 90, data=b"long"),
        entry("big", uid=3_000_000, data=b"b" * 700_000, pax_headers={"mtime": "1600000000.123456789"}),
    )


def test_everything_an_archive_says_is_there(store: LayerStore) -> None:
    layer = unpack(store, full())
    root = Path(store.path(layer.directory))
    assert listing(root) == {
        "big": "-rw-r--r-- 3000000:0 700000",
        "bin": "drwxr-xr-x 0:0",
        "bin/ping": "-rwxr-xr-x 0:0 4",
        "bin/su": "-rwsr-xr-x 0:0 2",
        "bin/sudo": "-rwsr-xr-x 0:0 2",
        "deep": "drwxr-xr-x 0:0",
        "deep/without": "drwxr-xr-x 0:0",
        "deep/without/parents": "-rw-r--r-- 0:0 1",
        "lib": "lrwxrwxrwx 0:0 -> usr/lib",
        "lib2": "lrwxrwxrwx 0:0 -> usr/lib",
        "loop": "brw-rw---- 0:6 7:0",
        "n" * 90: "drwxr-xr-x 0:0",
        "n" * 90 + "/" + "ü" * 90: "-rw-r--r-- 0:0 4",
        "null": "crw-rw-rw- 0:0 1:3",
        "pipe": "prw------- 0:0",
        "shared": "drwxrwsr-x 3:50",
        "shared/f": "-rw-r----- 7:8 1",
        "tmp": "drwxrwxrwt 0:0",
    }
    assert (root / "bin/su").stat().st_ino == (root / "bin/sudo").stat().st_ino
    assert os.getxattr(root / "bin/ping", "security.capability") == CAPABILITY
    assert (root / "bin").stat().st_mtime == 1000
    assert (root / "bin/su").stat().st_mtime == 1234
    assert (root / "big").stat().st_mtime_ns == 1600000000123456789
    assert (root / "big").read_bytes() == b"b" * 700_000
    assert root.stat().st_mode & 0o7777 == 0o755
    assert layer.size == 2 + 4 + 1 + 7 + 1 + 4 + 700_000  # files once, and the symlink's target


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_the_archive_comes_back_byte_for_byte(store: LayerStore, compress: type[bytes]) -> None:
    data = full() + b"trailing rubbish that belongs to the digest"
    blob = compress(data)
    with store.stage(chunks(blob), place) as staged:
        assert staged.diff_id == "sha256:" + hashlib.sha256(data).hexdigest()
        assert staged.blob == "sha256:" + hashlib.sha256(blob).hexdigest()
        assert staged.length == len(blob)
        layer = staged.keep()
    assert b"".join(store.archive(layer.directory)) == data
    assert layer.archive_size == len(data)


def test_archives_of_other_writers_come_back_too(store: LayerStore, tmp_path: Path) -> None:
    """GNU tar with sparse files in every format, cpio-made ustar, and a payload behind a directory."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    with (tree / "sparse").open("wb") as file:
        for at in range(40):
            file.seek(at * 100_000)
            file.write(b"data" * 10)
        file.truncate(10_000_000)
    (tree / "sub/plain").write_bytes(b"p" * 10_000)
    os.link(tree / "sub/plain", tree / "hard")
    for flags in (["--format=gnu"], ["--format=oldgnu"], ["--format=pax"], ["--format=pax", "--sparse-version=0.0"]):
        data = subprocess.run(["tar", "-cS", *flags, "-C", tree, "."], check=True, capture_output=True).stdout
        layer = unpack(store, data)
        root = Path(store.path(layer.directory))
        assert (root / "sparse").read_bytes() == (tree / "sparse").read_bytes()
        assert (root / "sparse").stat().st_blocks * 512 < 2_000_000
        assert (root / "sub/plain").read_bytes() == b"p" * 10_000
        assert b"".join(store.archive(layer.directory)) == data


def test_a_damaged_file_is_noticed_when_the_archive_is_wanted(store: LayerStore) -> None:
    layer = unpack(store, full())
    os.truncate(Path(store.path(layer.directory), "big"), 5)
    with pytest.raises(OSError, match="shorter"):
        b"".join(store.archive(layer.directory))


ESCAPES = {
    "a name that climbs": (entry("../../../../../../{outside}", data=b"x"),),
    "an absolute name": (entry("/{outside}", data=b"x"),),
    "a symlink to climb on": (entry("up", SYM, linkname="../../../../../.."), entry("up/{outside}", data=b"x")),
    "an absolute symlink": (entry("abs", SYM, linkname="/"), entry("abs/{outside}", data=b"x")),
    "a symlink in the middle": (
        entry("a", DIR),
        entry("a/b", SYM, linkname="/{parent}"),
        entry("a/b/escaped", data=b"x"),
    ),
    "a directory through a symlink": (entry("s", SYM, linkname="/{parent}"), entry("s/escaped", DIR)),
    "a symlink through a symlink": (entry("s", SYM, linkname="/{parent}"), entry("s/escaped", SYM, linkname="x")),
    "a device through a symlink": (entry("s", SYM, linkname="/{parent}"), entry("s/escaped", FIFO)),
    "a whiteout through a symlink": (entry("s", SYM, linkname="/{parent}"), entry("s/.wh.witness")),
    "an opaque mark through a symlink": (entry("s", SYM, linkname="/{parent}"), entry("s/.wh..wh..opq")),
    "a hard link to the outside": (entry("h", LINK, linkname="/{parent}/witness"),),
    "a hard link through a symlink": (entry("s", SYM, linkname="/{parent}"), entry("h", LINK, linkname="s/witness")),
    "a hard link to a symlink, then written through": (
        entry("s", SYM, linkname="/{parent}/witness"),
        entry("h", LINK, linkname="s"),
        entry("h/x", data=b"x"),
    ),
    "a file over a symlink": (entry("s", SYM, linkname="/{parent}/witness"), entry("./s", data=b"overwritten")),
    "a loop of symlinks": (
        entry("a", SYM, linkname="b"),
        entry("b", SYM, linkname="a"),
        entry("a/x", data=b"x"),
    ),
}


@pytest.mark.parametrize("case", ESCAPES)
def test_nothing_is_written_outside_the_layer(case: str, store: LayerStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "witness").write_bytes(b"untouched")
    os.chmod(outside / "witness", 0o640)
    before = (listing(outside), listing(tmp_path))
    words = {"outside": str(outside / "escaped").lstrip("/"), "parent": str(outside).lstrip("/")}
    entries = []
    for info, data in ESCAPES[case]:
        made = entry(info.name.format(**words), info.type, data, linkname=info.linkname.format(**words))
        entries.append(made)
    try:
        layer = unpack(store, tar(*entries))
    except Internal:
        assert names(tmp_path) == []
    else:
        store.remove(layer.directory)
    assert (listing(outside), listing(tmp_path)) == before
    assert (outside / "witness").read_bytes() == b"untouched"
    assert (outside / "witness").stat().st_nlink == 1
    assert os.listxattr(outside) == []


REFUSED = {
    "open /a/x: no such file or directory": (entry("a", SYM, linkname="/nowhere"), entry("a/x", data=b"x")),
    "link /etc/shadow /h: no such file or directory": (entry("h", LINK, linkname="../../etc/shadow"),),
    "duplicates of file paths not supported": (entry("f", data=b"1"), entry("./f", data=b"2")),
    "duplicates of file paths not supported ": (entry("d/x", data=b"1"), entry("d", data=b"2")),
    "duplicates of file paths not supported  ": (entry("d", DIR), entry("d/", DIR)),
    "open /f/x: not a directory": (entry("f", data=b"1"), entry("f/x", data=b"2")),
    "open /a/x: too many levels of symbolic links": (
        entry("a", SYM, linkname="b"),
        entry("b", SYM, linkname="a"),
        entry("a/x", data=b"x"),
    ),
    f"open /{'x' * 300}: file name too long": (entry("x" * 300, data=b"x"),),
    "unhandled tar header type 55": (entry("c", b"7"),),
    "lsetxattr foo.bar /f: operation not supported": (entry("f", pax_headers={"SCHILY.xattr.foo.bar": "1"}),),
    'failed to mknod("/d/x", S_IFCHR, 0): file exists': (entry("d/x", data=b"1"), entry("d/.wh.x")),
    "archive/tar: invalid tar header": (entry("f", pax_headers={"path": "a\0b"}),),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_in_dockers_words_with_nothing_left(message: str, store: LayerStore, tmp_path: Path) -> None:
    with pytest.raises(Internal) as caught:
        store.stage(chunks(tar(*REFUSED[message])), place)
    assert caught.value.message == message.rstrip()
    assert names(tmp_path) == []


@pytest.mark.parametrize("cut", [100, 512, 700, 5000])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_cut_off_leaves_nothing(cut: int, compress: type[bytes], store: LayerStore, tmp_path: Path) -> None:
    data = compress(tar(entry("a", data=os.urandom(5000)), entry("b", data=b"x")))
    with pytest.raises(Internal, match="unexpected EOF"):
        store.stage(chunks(data[:cut]), place)
    assert names(tmp_path) == []


def test_a_failing_source_leaves_nothing(store: LayerStore, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield full()[:4000]
        raise ConnectionResetError

    with pytest.raises(Internal, match="cannot unpack the layer"):
        store.stage(broken(), place)
    assert names(tmp_path) == []


def test_a_layer_not_kept_is_gone(store: LayerStore, tmp_path: Path) -> None:
    with store.stage(chunks(full()), place):
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == []


def test_removing_twice_is_fine(store: LayerStore, tmp_path: Path) -> None:
    layer = unpack(store, full())
    store.remove(layer.directory)
    store.remove(layer.directory)
    assert names(tmp_path) == []


def test_sweep_removes_what_no_record_knows(store: LayerStore, tmp_path: Path) -> None:
    kept, lost = unpack(store, full()), unpack(store, full())
    store.stage(chunks(full()), place)  # as a crash would leave it
    (tmp_path / "layers" / ".old-abc").mkdir()
    (tmp_path / "layers" / "orphan.split").write_bytes(b"")
    removed = store.sweep({kept.directory})
    assert len(removed) == 5
    assert lost.directory in removed
    assert names(tmp_path) == sorted([kept.directory, f"{kept.directory}.split"])
    assert store.sweep({kept.directory}) == ()


class Overlay:
    """A mounted overlay of layers, bottom first."""

    def __init__(self, store: LayerStore, work: Path, *archives: bytes) -> None:
        self.lowers = [store.path(unpack(store, data).directory) for data in archives][::-1]
        self.upper, self.merged, self._work = work / "upper", work / "merged", work / "work"
        for path in (self.upper, self.merged, self._work):
            path.mkdir()

    def __enter__(self) -> "Overlay":
        options = f"lowerdir={':'.join(self.lowers)},upperdir={self.upper},workdir={self._work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.merged], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self.merged], check=True)


BASE = tar(
    entry("etc/passwd", data=b"root"),
    entry("etc/group", data=b"root"),
    entry("var/log/a", data=b"a"),
    entry("var/log/b", data=b"b"),
    entry("var/lib/x", data=b"x"),
    entry("link", SYM, linkname="var/lib"),
)


def test_whiteouts_hide_what_is_below(store: LayerStore, tmp_path: Path) -> None:
    top = tar(
        entry("etc/.wh.group"),
        entry("var/log", DIR, mode=0o700),
        entry("var/log/.wh..wh..opq"),
        entry("var/log/c", data=b"c"),
        entry(".wh.link"),
        entry("link", DIR, mode=0o755),
        entry("link/y", data=b"y"),
        entry("var/.wh.lib"),
        entry("var/lib", DIR, mode=0o755),
        entry("etc/.wh.passwd"),
        entry("etc/passwd", data=b"new one"),
    )
    with Overlay(store, tmp_path, BASE, top) as overlay:
        seen = listing(overlay.merged)
    assert sorted(seen) == [
        "etc", "etc/passwd", "link", "link/y", "var", "var/lib", "var/log", "var/log/c",
    ]  # fmt: skip
    assert seen["var/log"] == "drwx------ 0:0"
    assert seen["link"] == "drwxr-xr-x 0:0"
    assert seen["etc/passwd"] == "-rw-r--r-- 0:0 7"


def changed(overlay: Overlay) -> None:
    root = overlay.merged
    (root / "etc/passwd").write_bytes(b"changed")
    (root / "etc/group").unlink()
    subprocess.run(["rm", "-r", root / "var/log"], check=True)
    (root / "var/log").mkdir()
    (root / "var/log/new").write_bytes(b"new")
    (root / "home/me").mkdir(parents=True)
    (root / "home/me/f").write_bytes(b"f" * 5000)
    os.link(root / "home/me/f", root / "home/me/g")
    (root / "link").unlink()
    (root / "link").mkdir()
    os.chown(root / "var/lib/x", 5, 6)


def test_changes_are_listed_as_docker_does(store: LayerStore, tmp_path: Path) -> None:
    with Overlay(store, tmp_path, BASE) as overlay:
        changed(overlay)
        found = store.changes(str(overlay.upper), overlay.lowers)
    assert found == tuple(
        Change(line[0], line[2:])  # type: ignore[arg-type]
        for line in [
            "C /etc",
            "D /etc/group",
            "C /etc/passwd",
            "A /home",
            "A /home/me",
            "A /home/me/f",
            "A /home/me/g",
            "C /link",
            "C /var",
            "C /var/lib",
            "C /var/lib/x",
            "C /var/log",
            "D /var/log/a",
            "D /var/log/b",
            "A /var/log/new",
        ]
    )


def test_what_an_upper_layer_took_away_is_new_when_it_comes_back(store: LayerStore, tmp_path: Path) -> None:
    middle = tar(entry("etc/.wh.group"), entry("var/log", DIR, mode=0o755), entry("var/log/.wh..wh..opq"))
    with Overlay(store, tmp_path, BASE, middle) as overlay:
        (overlay.merged / "etc/group").write_bytes(b"again")
        (overlay.merged / "var/log/a").write_bytes(b"again")
        (overlay.merged / "link").unlink()
        found = store.changes(str(overlay.upper), overlay.lowers)
    lines = [f"{change.kind} {change.path}" for change in found]
    assert lines == ["C /etc", "A /etc/group", "D /link", "C /var", "C /var/log", "A /var/log/a"]


def test_a_diff_on_top_of_the_base_is_the_container_again(store: LayerStore, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with Overlay(store, one, BASE) as overlay:
        changed(overlay)
        wanted = listing(overlay.merged)
        diff = b"".join(store.pack_diff(str(overlay.upper), whiteout_name, opaque_name))
        exported = b"".join(store.export(str(overlay.merged)))
    assert b"trusted.overlay" not in diff
    with Overlay(store, two, BASE, diff) as overlay:
        assert listing(overlay.merged) == wanted
        assert (overlay.merged / "home/me/f").stat().st_nlink == 2
        again = b"".join(store.pack_diff(str(overlay.upper), whiteout_name, opaque_name))
    assert again == bytes(1024)  # nothing changed: the empty archive, whose digest means "no layer"
    assert listing(store.path(unpack(store, exported).directory)) == wanted


def test_export_keeps_all_attributes(store: LayerStore) -> None:
    layer = unpack(store, full())
    root = store.path(layer.directory)
    again = unpack(store, b"".join(store.export(root)))
    copy = Path(store.path(again.directory))
    assert listing(copy) == listing(root)
    assert os.getxattr(copy / "bin/ping", "security.capability") == CAPABILITY
    assert (copy / "bin/su").stat().st_mtime == 1234
    assert b"".join(store.export(root)) == b"".join(store.export(root))


def test_export_takes_names_that_are_no_utf8(store: LayerStore, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    name = b"\xff\xfe caf\xe9"
    with open(os.path.join(os.fsencode(tree), name), "wb") as file:
        file.write(b"x")
    layer = unpack(store, b"".join(store.export(str(tree))))
    assert os.listdir(os.fsencode(store.path(layer.directory))) == [name]
