"""Reading zstd streams with the system's libzstd, which dpkg and systemd need as well and so is always there on Debian.

Python 3.11 has no decoder of its own. Where the library is missing, archives compressed so are refused in words.
The library limits the window, and with it the memory an archive can ask for, to 128 MiB.
"""

import ctypes
from collections.abc import Iterable, Iterator

from landbridge.errors import Internal

_LIBRARY = "libzstd.so.1"


class _Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer have the same shape."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t))


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise Internal(
            f"the archive is compressed with zstd, which needs {_LIBRARY} on this machine; use gzip, xz or none"
        ) from None
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = (ctypes.c_void_p,)
    library.ZSTD_decompressStream.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Buffer), ctypes.POINTER(_Buffer))
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = (ctypes.c_size_t,)
    library.ZSTD_getErrorName.argtypes = (ctypes.c_size_t,)
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    return library


def unzstd(chunks: Iterable[bytes], step: int) -> Iterator[bytes]:
    """The plain bytes of one or more zstd frames, at most `step` at a time.

    Raises: Internal when a frame is damaged or ends too early, or there is no library.
    """
    library = _load()
    stream = library.ZSTD_createDStream()
    if not stream:
        raise Internal("zstd: no memory for a decoder")
    try:
        out = ctypes.create_string_buffer(step)
        wanted = 0  # what the decoder still needs to end its frame; 0 between frames
        for chunk in chunks:
            source = _Buffer(ctypes.cast(ctypes.c_char_p(chunk), ctypes.c_void_p), len(chunk), 0)
            full = False
            while source.pos < source.size or full:
                target = _Buffer(ctypes.cast(out, ctypes.c_void_p), step, 0)
                wanted = library.ZSTD_decompressStream(stream, ctypes.byref(target), ctypes.byref(source))
                if library.ZSTD_isError(wanted):
                    raise Internal(f"zstd: {library.ZSTD_getErrorName(wanted).decode()}")
                full = target.pos == step and wanted > 0  # then more is waiting inside
                if target.pos:
                    yield ctypes.string_at(out, target.pos)
        if wanted:
            raise Internal("unexpected EOF")
    finally:
        library.ZSTD_freeDStream(stream)
