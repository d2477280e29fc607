"""libigs from Python through ctypes, and a program: `python igs.py LIBRARY FILE OUT.pam` decodes a file.

The structures are those of include/igs.h.
"""

import ctypes as c
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

STATUS_NEED_BYTES = 1
SAMPLES_U8, SAMPLES_U16, SAMPLES_F32, FEATURES_F32, FEATURES_F64 = range(5)
_FORMATS: tuple[Any, ...] = (c.c_uint8, c.c_uint16, c.c_float, c.c_float, c.c_double)
_ENTIRE = 0xFFFFFFFF

_Read = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_uint64, c.c_void_p, c.c_size_t)
_Close = c.CFUNCTYPE(None, c.c_void_p)
Allocate = c.CFUNCTYPE(c.c_void_p, c.c_void_p, c.c_size_t)
Release = c.CFUNCTYPE(None, c.c_void_p, c.c_void_p, c.c_size_t)


def _fields(kind: Any, *names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names]


class _Source(c.Structure):
    _fields_ = [("size", c.c_uint64), ("read", _Read), ("close", _Close), ("user", c.c_void_p)]


class Options(c.Structure):
    """igs_options; zeros are the defaults."""

    _fields_ = [
        ("allocate", Allocate),
        ("release", Release),
        ("user", c.c_void_p),
        ("max_bytes", c.c_uint64),
        ("max_work", c.c_uint64),
        ("use_page_tree", c.c_int),
    ]


class Info(c.Structure):
    """igs_info."""

    _fields_ = [
        *_fields(c.c_uint32, "width", "height", "n_channels", "n_groups", "n_levels", "n_sets", "profile", "top_k"),
        ("support_q", c.c_double),
        ("file_size", c.c_uint64),
        ("truncated", c.c_int),
    ]


class Level(c.Structure):
    """igs_level."""

    _fields_ = [*_fields(c.c_uint32, "set", "scale_log2", "profile", "n_gaussians", "n_pages"), ("end", c.c_uint64)]


class Tiles(c.Structure):
    """igs_tiles: both ends inclusive."""

    _fields_ = _fields(c.c_uint32, "x_first", "y_first", "x_last", "y_last")


class Page(c.Structure):
    """igs_page."""

    _fields_ = [
        ("offset", c.c_uint64),
        *_fields(c.c_uint32, "n_bytes", "n_gaussians", "generation"),
        ("first", c.c_uint64),
        ("box", Tiles),
    ]


class _Request(c.Structure):
    _fields_ = [
        *_fields(c.c_uint32, "lod", "x", "y", "width", "height", "out_width", "out_height"),
        *_fields(c.c_int, "format", "grain", "available"),
        ("row_bytes", c.c_size_t),
    ]


class IgsError(Exception):
    """What the library reports: the name of the error and the fact."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def load(path: str | Path) -> c.CDLL:
    """The library, with the types of the functions that `File` calls."""
    lib = c.CDLL(str(path))
    handle, u32, size = c.c_void_p, c.c_uint32, c.c_size_t
    lib.igs_create.argtypes = [c.POINTER(Options), c.POINTER(handle)]
    lib.igs_open.argtypes = [handle, c.POINTER(_Source)]
    lib.igs_open_memory.argtypes = [handle, c.c_char_p, size]
    lib.igs_open_path.argtypes = [handle, c.c_char_p]
    lib.igs_get_info.argtypes = [handle, c.POINTER(Info)]
    lib.igs_get_level.argtypes = [handle, u32, c.POINTER(Level)]
    lib.igs_find_pages.argtypes = [handle, u32, Tiles, c.c_void_p, size, c.POINTER(size)]
    lib.igs_get_page.argtypes = [handle, u32, u32, c.POINTER(Page)]
    lib.igs_has_arrived.argtypes = [handle, u32, Tiles, c.POINTER(c.c_int)]
    lib.igs_best_level.argtypes = [handle, u32, u32, u32, c.POINTER(u32)]
    lib.igs_render.argtypes = [handle, c.POINTER(_Request), c.c_void_p]
    lib.igs_sample.argtypes = [handle, u32, c.c_void_p, size, c.c_int, c.c_void_p]
    lib.igs_close.argtypes = [handle]
    lib.igs_close.restype = None
    lib.igs_message.argtypes = [handle]
    lib.igs_message.restype = c.c_char_p
    return lib


class File:
    """An open file; a context manager.

    Args:
        source: a path, the bytes, or a pair: how many bytes there are, and a function (offset, size) -> bytes, or None
            while they have not arrived.

    Raises:
        IgsError: from here on, and from all methods.
    """

    def __init__(
        self,
        library: c.CDLL,
        source: str | Path | bytes | tuple[int, Callable[[int, int], bytes | None]],
        options: Options | None = None,
    ) -> None:
        self._lib, self._handle, self._kept = library, c.c_void_p(), (source, options)
        if status := library.igs_create(c.byref(options) if options else None, c.byref(self._handle)):
            raise IgsError(status, "OutOfMemory: there is no memory for the handle")
        try:
            if isinstance(source, bytes):
                self._check(library.igs_open_memory(self._handle, source, len(source)))
            elif isinstance(source, tuple):
                size, self._get = source
                self._source = _Source(size, _Read(self._read), _Close(), None)
                self._check(library.igs_open(self._handle, c.byref(self._source)))
            else:
                self._check(library.igs_open_path(self._handle, str(source).encode()))
            self.info = Info()
            self._check(library.igs_get_info(self._handle, c.byref(self.info)))
        except IgsError:
            self.close()
            raise

    def _read(self, _: int, offset: int, to: int, size: int) -> int:
        data = self._get(offset, size)
        if data is None:
            return STATUS_NEED_BYTES
        c.memmove(to, data, size)
        return 0

    def _check(self, status: int) -> None:
        if status:
            raise IgsError(status, self._lib.igs_message(self._handle).decode())

    def close(self) -> None:
        """Frees everything; once more does nothing."""
        self._lib.igs_close(self._handle)
        self._handle = c.c_void_p()

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def level(self, lod: int) -> Level:
        """Set, scale, Gaussians, pages and size of the prefix of a level."""
        level = Level()
        self._check(self._lib.igs_get_level(self._handle, lod, c.byref(level)))
        return level

    def pages(self, lod: int, tiles: Tiles | None = None) -> list[Page]:
        """Pages that a level shows in some tiles, or everywhere."""
        n, where = c.c_size_t(), tiles or Tiles(0, 0, _ENTIRE, _ENTIRE)
        self._check(self._lib.igs_find_pages(self._handle, lod, where, None, 0, c.byref(n)))
        ids = (c.c_uint32 * n.value)()
        self._check(self._lib.igs_find_pages(self._handle, lod, where, ids, n.value, c.byref(n)))
        pages = [Page() for _ in ids]
        for number, page in zip(ids, pages, strict=True):
            self._check(self._lib.igs_get_page(self._handle, lod, number, c.byref(page)))
        return pages

    def has_arrived(self, lod: int, tiles: Tiles | None = None) -> bool:
        """Whether all of a level is there that some tiles need, or the whole picture."""
        arrived = c.c_int()
        where = tiles or Tiles(0, 0, _ENTIRE, _ENTIRE)
        self._check(self._lib.igs_has_arrived(self._handle, lod, where, c.byref(arrived)))
        return bool(arrived.value)

    def best_level(self, tx: int, ty: int, lod: int = 0) -> int:
        """The finest level from `lod` on that has arrived for a tile; n_levels where there is none."""
        best = c.c_uint32()
        self._check(self._lib.igs_best_level(self._handle, lod, tx, ty, c.byref(best)))
        return best.value

    def render(
        self,
        lod: int = 0,
        region: tuple[int, int, int, int] | None = None,
        size: tuple[int, int] | None = None,
        form: int = SAMPLES_U8,
        *,
        grain: bool = False,
        available: bool = False,
    ) -> tuple[int, int, Any]:
        """Height, width and the height x width x n_channels values of a region (x, y, width, height), row by row.

        Args:
            size: (width, height) of the output.
            form: one of the constants above.
        """
        x, y, width, height = region or (0, 0, self.info.width, self.info.height)
        out_width, out_height = size or (width, height)
        out = (_FORMATS[form] * (out_width * out_height * self.info.n_channels))()
        request = _Request(lod, x, y, width, height, out_width, out_height, form, grain, available, 0)
        self._check(self._lib.igs_render(self._handle, c.byref(request), out))
        return out_height, out_width, out

    def sample(self, lod: int, points: Sequence[tuple[float, float]], *, grain: bool = False) -> list[list[float]]:
        """Features at points (x, y), px."""
        flat = (c.c_double * (2 * len(points)))(*(v for point in points for v in point))
        n = self.info.n_channels
        out = (c.c_double * (n * len(points)))()
        self._check(self._lib.igs_sample(self._handle, lod, flat, len(points), grain, out))
        return [list(out[i * n : (i + 1) * n]) for i in range(len(points))]


def main() -> None:
    """The command line."""
    library, path, out = sys.argv[1:]
    with File(load(library), path) as file:
        height, width, pixels = file.render(available=True)
        depth = file.info.n_channels
    kind = {3: "RGB", 4: "RGB_ALPHA"}.get(depth, "GRAYSCALE")
    head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {depth}\nMAXVAL 255\nTUPLTYPE {kind}\nENDHDR\n"
    Path(out).write_bytes(head.encode() + bytes(pixels))


if __name__ == "__main__":
    main()
