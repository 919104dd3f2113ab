"""Where members of a layer go: names that try to leave, whiteouts, types that are no files, chain ids."""

import pytest

from landbridge.errors import Internal
from landbridge.model.layer import Member
from landbridge.oci.layers import chain_ids, clean, digest, opaque_name, place, whiteout_name


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b", "a/b"),
        ("./a//b/", "a/b"),
        ("/etc/passwd", "etc/passwd"),
        ("../../etc/passwd", "etc/passwd"),
        ("a/../../b", "b"),
        ("a/./b/../c", "a/c"),
        (".", ""),
        ("", ""),
        ("..", ""),
        ("...", "..."),
    ],
)
def test_a_name_is_rooted_in_the_layer(name: str, path: str) -> None:
    assert clean(name) == path


@pytest.mark.parametrize(
    ("name", "action", "path"),
    [
        ("a/f", "make", "a/f"),
        ("a/.wh.f", "whiteout", "a/f"),
        (".wh.f", "whiteout", "f"),
        ("a/.wh..wh..opq", "opaque", "a"),
        (".wh..wh..opq", "opaque", ""),
        ("../a/.wh.f", "whiteout", "a/f"),
        ("./", "skip", ""),
    ],
)
def test_whiteouts_are_known_by_name(name: str, action: str, path: str) -> None:
    placement = place(Member(name=name))
    assert (placement.action, placement.path) == (action, path)


@pytest.mark.parametrize("name", ["d/.wh.", "d/.wh..", "d/.wh..."])
def test_a_whiteout_of_nothing_is_refused_in_dockers_words(name: str) -> None:
    with pytest.raises(Internal, match=r'failed to mknod\("/d", S_IFCHR, 0\): file exists'):
        place(Member(name=name))


def test_the_parent_of_the_root_cannot_be_made() -> None:
    with pytest.raises(Internal):
        place(Member(name="..", type="0"))


@pytest.mark.parametrize(("kind", "code"), [("7", 55), ("z", 122), ("S", 83)])
def test_types_that_are_no_files_are_refused(kind: str, code: int) -> None:
    with pytest.raises(Internal, match=f"unhandled tar header type {code}"):
        place(Member(name="f", type=kind))


def test_a_global_header_is_passed_over() -> None:
    assert place(Member(name="pax_global_header", type="g")).action == "skip"


def test_attributes_of_overlayfs_are_not_the_images_to_set() -> None:
    xattrs = (("trusted.overlay.redirect", b"/etc"), ("security.capability", b"\1"), ("user.x", b""))
    assert place(Member(name="f", xattrs=xattrs)).xattrs == xattrs[1:]


def test_names_of_deletions_are_read_back_as_deletions() -> None:
    for path in ("a", "a/b", "a/b c/d"):
        assert place(Member(name=whiteout_name(path))) == place(Member(name=whiteout_name(path)))
        assert place(Member(name=whiteout_name(path))).path == path
        assert place(Member(name=opaque_name(path))).path == path


def test_chain_ids_follow_the_specification() -> None:
    """OCI image spec, config.md: ChainID(L0|…|Ln) = Digest(ChainID(L0|…|Ln-1) + " " + DiffID(Ln))."""
    a, b, c = (f"sha256:{letter * 64}" for letter in "abc")
    chain = chain_ids([a, b, c])
    assert chain[0] == a
    assert chain[1] == digest(f"{a} {b}".encode())
    assert chain[2] == digest(f"{chain[1]} {c}".encode())
    assert chain_ids([]) == ()
    # Computed by Docker for a real image of two layers.
    known = chain_ids(
        [
            "sha256:1964752fc14e08a4b333bcbd7d203995cad690b21d4273fcf0b777a5a6c95761",
            "sha256:23f98cbb0bf24cf934cd937e4b6941069c57e2c15fd290ae9b698b109f5f2924",
        ]
    )
    assert known[0].startswith("sha256:1964")
