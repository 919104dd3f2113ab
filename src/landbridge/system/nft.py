"""nftables through libnftables: text in, one transaction; text out. No rule is made or understood here.

A context works on the network namespace it was made in and on no other, and costs far less to keep than to
make: `Nft` is the host's, kept for good; `apply_inside` makes one for a sandbox's few rules and drops it.
libnftables has state of its own below its contexts, so one lock serves all calls of an `Nft`. Calls block
(another process may be committing): a worker thread's work.
"""

import ctypes
import errno
import os
import re
import threading
from collections.abc import Callable

from landbridge.errors import Internal, NotFound, Unavailable
from landbridge.system import netns

_DRY = True  # the kernel evaluates the transaction and does not commit it
_SONAME = "libnftables.so.1"
_LOCATED = re.compile(r"^/proc/self/fd/\d+:(\d+):[\d-]+: (?:Error: )?(.*)")


class Nft:
    """nftables of the network namespace the calling thread is in when this is made.

    Raises: Unavailable when libnftables is not installed.
    """

    def __init__(self) -> None:
        self._library = _load()
        self._lock = threading.Lock()
        self._context = _Context(self._library)

    def close(self) -> None:
        """Free the context; twice is fine."""
        with self._lock:
            self._context.free()

    def __enter__(self) -> "Nft":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def apply(self, text: str) -> None:
        """Apply `text` (nft(8) syntax, any number of commands) as one transaction: all of it or nothing.

        Raises: Internal with nft's own words and the line of `text` they are about.
        """
        with self._lock:
            self._context.run(text)

    def apply_inside(self, path: str, text: str) -> None:
        """`apply` in the network namespace pinned at `path`. Raises: Internal, NotFound when nothing is pinned."""
        with self._lock:
            # Names of interfaces (`iif`) are looked up while the text is read, so all of it happens inside.
            netns.run_inside(path, lambda: _once(self._library, lambda context: context.run(text)))

    def list_table(self, family: str, name: str) -> str:
        """The table as nft prints it, sets and maps with their elements. Raises: NotFound, Internal."""
        if not self.table_exists(family, name):
            raise NotFound(f"no nftables table {family} {name}")
        with self._lock:
            return self._context.run(f"list table {family} {name}")

    def listing(self, kind: str, family: str, table: str, name: str) -> str:
        """One chain or set as nft prints it, which nft can read again; empty when there is none. Raises: Internal."""
        try:
            with self._lock:
                return self._context.run(f"list {kind} {family} {table} {name}")
        except Internal as error:
            if os.strerror(errno.ENOENT) in error.message:
                return ""
            raise

    def tables(self) -> tuple[tuple[str, str], ...]:
        """(family, name) of every table."""
        with self._lock:
            listing = self._context.run("list tables")
        words = [line.split() for line in listing.splitlines()]
        return tuple((family, name) for _, family, name in words)

    def table_exists(self, family: str, name: str) -> bool:
        """Whether there is such a table."""
        return (family, name) in self.tables()

    def remove_table(self, family: str, name: str) -> None:
        """Delete a table with all it holds. Twice is fine. Raises: Internal."""
        # Adding it first makes the deletion succeed either way, in one transaction that never shows it.
        self.apply(f"add table {family} {name}\ndelete table {family} {name}\n")


class _Context:
    """One nft_ctx, with output and errors kept in memory. Not locked."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._handle: int | None = library.nft_ctx_new(0)
        if not self._handle:
            raise Internal("libnftables gave no context (no netlink socket)")
        library.nft_ctx_buffer_output(self._handle)
        library.nft_ctx_buffer_error(self._handle)

    def run(self, text: str) -> str:
        if self._handle is None:
            raise Internal("nftables context used after close")
        failed = self._library.nft_run_cmd_from_buffer(self._handle, text.encode())
        # Reading a buffer also resets it, so both are read every time.
        output: bytes = self._library.nft_ctx_get_output_buffer(self._handle) or b""
        errors: bytes = self._library.nft_ctx_get_error_buffer(self._handle) or b""
        if failed:
            raise Internal(_explain(self._diagnose(text) or errors, text))
        return output.decode(errors="replace")

    def _diagnose(self, text: str) -> bytes:
        """Errors with line numbers, which libnftables gives for files only: a dry run of `text` as a file."""
        handle = os.memfd_create("nft", os.MFD_CLOEXEC)
        try:
            os.write(handle, text.encode())
            self._library.nft_ctx_set_dry_run(self._handle, _DRY)
            self._library.nft_run_cmd_from_filename(self._handle, f"/proc/self/fd/{handle}".encode())
            self._library.nft_ctx_get_output_buffer(self._handle)
            return self._library.nft_ctx_get_error_buffer(self._handle) or b""
        finally:
            self._library.nft_ctx_set_dry_run(self._handle, not _DRY)
            os.close(handle)

    def free(self) -> None:
        if self._handle is not None:
            self._library.nft_ctx_free(self._handle)
            self._handle = None


def _once(library: ctypes.CDLL, work: Callable[[_Context], object]) -> None:
    context = _Context(library)
    try:
        work(context)
    finally:
        context.free()


def _explain(errors: bytes, text: str) -> str:
    """nft's first error and the line of the script it is about."""
    first = next(iter(errors.decode(errors="replace").splitlines()), "nft failed without a message")
    found, lines = _LOCATED.match(first), text.splitlines()
    if not found or int(found[1]) > len(lines):
        return f"nftables: {first}"
    return f"nftables: {found[2]} in line {found[1]}: {lines[int(found[1]) - 1].strip()}"


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_SONAME)
    except OSError as error:
        raise Unavailable(f"{_SONAME} is needed for networking and cannot be loaded: {error}") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_run_cmd_from_filename.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_set_dry_run.argtypes = [ctypes.c_void_p, ctypes.c_bool]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    return library
