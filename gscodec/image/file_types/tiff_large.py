"""Large TIFF and BigTIFF files, read in parts through tifffile."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, LimitExceeded, UnsupportedImage
from gscodec.image.file_types.tiff_layout import choose_page
from gscodec.image.file_types.tiff_metadata import metadata_of_tiff
from gscodec.image.profiles import sound_profile
from gscodec.image.regions import RawLevels, Rect, RegionSource, SpooledPicture
from gscodec.image.source_errors import one_line_errors, warn_of_source
from gscodec.image.stack import check_for, cmyk_groups, picture_groups
from gscodec.model.constants import LARGE_PIXELS, MAX_CHANNELS, MAX_DIMENSION
from gscodec.model.limits import DEFAULT_LIMITS, Limits

MAX_SEGMENT_BYTES: Final = 1 << 28
"""Most bytes of one decoded strip or tile: one larger than this cannot be read in parts."""

_CACHED_BYTES: Final = 1 << 27
"""Decoded tiles that are kept: those of a block's halo are asked for again by its neighbour."""

_UINT, _WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _SEPARATED, _YCBCR = 1, 0, 1, 2, 5, 6  # TIFF 6.0, sections 8 and 19
_PLANAR_SEPARATE: Final = 2
_JPEG: Final = 7  # Compression
_ASSOCIATED: Final = 1  # ExtraSamples


def open_large_tiff(
    path: str | os.PathLike[str], least_pixels: int = LARGE_PIXELS, limits: Limits = DEFAULT_LIMITS
) -> RegionSource | None:
    """The picture of a TIFF in parts, as `choose_page` finds it; None of small ones and of kinds that are read whole.

    8 and 16-bit gray, RGB and CMYK, with alpha or further channels, in strips or tiles, interleaved or in planes.

    Raises:
        LimitExceeded: as `check_dimensions`, or a strip or tile is too large to be decoded by itself.
        UnsupportedImage: a compression that needs the imagecodecs package, or a picture that is turned by its tags.
        BadImage, FileAccessError: damaged or not readable.
    """
    import tifffile

    name = os.fspath(path)
    with one_line_errors(name):
        file = open(path, "rb")  # noqa: SIM115, PTH123 - closed below or with the picture
        try:
            tiff = tifffile.TiffFile(file)
            _, page, notes = choose_page(tiff)
            if page.imagelength * page.imagewidth <= least_pixels or not _is_plain(page):
                file.close()
                return None
            check_for(file, limits, whole=False)(int(page.imagelength), int(page.imagewidth), name)
            for note in notes:
                warn_of_source(f"{name}: {note}")
            metadata = metadata_of_tiff(file, int(page.offset), name)
            source = _opened(file, page, tiff.byteorder, name)
            source.metadata = metadata
            return source
        except BaseException:
            file.close()
            raise


def _is_plain(page: Any) -> bool:
    bits = page.bitspersample
    return (
        page.sampleformat == _UINT
        and bits in {8, 16}
        and page.photometric in {_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _SEPARATED, _YCBCR}
        and not (page.photometric == _YCBCR and page.compression != _JPEG)  # which alone tifffile makes RGB
        and not (page.photometric == _SEPARATED and page.samplesperpixel != 4)
        and page.imagedepth == 1
    )


def _opened(file: IO[bytes], page: Any, byteorder: str, name: str) -> RegionSource:
    height, width, n_channels = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
    if max(height, width) > MAX_DIMENSION or n_channels > MAX_CHANNELS:
        raise LimitExceeded(
            f"{name}: {width}x{height} px of {n_channels} channels is above the limit of {MAX_DIMENSION} px a side or "
            f"{MAX_CHANNELS} channels"
        )
    orientation = page.tags.get("Orientation")
    if orientation is not None and orientation.value != 1:
        raise UnsupportedImage(f"{name}: is stored turned (Orientation {orientation.value}); store it upright")
    if page.photometric != _SEPARATED and n_channels in {2, 4} and tuple(page.extrasamples)[-1:] == (_ASSOCIATED,):
        raise UnsupportedImage(f"{name}: large TIFFs with premultiplied alpha are not read; store straight alpha")
    bits = int(page.bitspersample)
    groups = cmyk_groups(bits) if page.photometric == _SEPARATED else picture_groups(n_channels, bits)
    icc_tag = page.tags.get("InterColorProfile")
    icc = sound_profile(bytes(icc_tag.value) if icc_tag is not None else None, groups, name)
    shape = height, width, n_channels
    dtype = np.dtype(f"{byteorder}u{bits // 8}")
    _check_extents(file, page, name)
    inverted = page.photometric == _WHITE_IS_ZERO
    planar = page.planarconfig == _PLANAR_SEPARATE and n_channels > 1
    if page.is_contiguous and not planar and page.fillorder == 1:
        return _RawTiff(file, shape, groups, icc, dtype, int(page.dataoffsets[0]), inverted)
    source = _SegmentedTiff(file, page, shape, groups, icc, inverted, name)
    if page.is_tiled:
        return source
    # A strip is as wide as the picture: one that is compressed would be decoded again for every block along it.
    with source:
        return SpooledPicture(shape, groups, icc, source.rows(), name)


def _check_extents(file: IO[bytes], page: Any, name: str) -> None:
    """Raise if the file is truncated, before hours of work instead of during them."""
    offsets, sizes = page.dataoffsets, page.databytecounts
    n_bytes = os.fstat(file.fileno()).st_size
    if not offsets or len(offsets) != len(sizes):
        raise BadImage(f"{name}: damaged: says where {len(offsets)} strips or tiles lie, and the size of {len(sizes)}")
    end = max(offset + size for offset, size in zip(offsets, sizes, strict=True))
    if end > n_bytes:
        raise BadImage(f"{name}: damaged or cut short: ends at byte {n_bytes}, its samples at byte {end}")


class _RawTiff(RegionSource):
    """Samples that lie one after the other."""

    def __init__(
        self,
        file: IO[bytes],
        shape: tuple[int, int, int],
        groups: Any,
        icc: bytes | None,
        dtype: np.dtype[Any],
        offset: int,
        inverted: bool,
    ) -> None:
        super().__init__(shape, groups, icc)
        self._raw = RawLevels(file, dtype, offset, shape)
        self._inverted = inverted

    def levels(self, area: Rect) -> npt.NDArray[Any]:
        """See `RegionSource.levels`."""
        levels = self._raw.read(area)
        return self.largest - levels if self._inverted else levels

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


class _SegmentedTiff(RegionSource):
    """Tiles or strips, decoded one by one."""

    def __init__(
        self,
        file: IO[bytes],
        page: Any,
        shape: tuple[int, int, int],
        groups: Any,
        icc: bytes | None,
        inverted: bool,
        name: str,
    ) -> None:
        super().__init__(shape, groups, icc)
        self._file = file
        self._page = page
        self._inverted = inverted
        self._name = name
        height, width, n_channels = shape
        tile = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, height), width)
        self._tile = int(tile[0]), int(tile[1])
        self._planes = n_channels if page.planarconfig == _PLANAR_SEPARATE else 1
        self._dtype = np.dtype(np.uint8 if page.bitspersample == 8 else np.uint16)
        n_bytes = self._tile[0] * self._tile[1] * n_channels // self._planes * self._dtype.itemsize
        if not 0 < n_bytes <= MAX_SEGMENT_BYTES:
            kind = "tiles" if page.is_tiled else "strips"
            raise LimitExceeded(f"{name}: its {kind} of {n_bytes} bytes are too large; store it in tiles of 256x256 px")
        self._cached: OrderedDict[int, npt.NDArray[Any]] = OrderedDict()
        self._capacity = max(1, _CACHED_BYTES // n_bytes)

    def rows(self) -> Iterator[npt.NDArray[Any]]:
        """(h, W, C) from the top down, a row of segments each."""
        height, width, _ = self.shape
        for y in range(0, height, self._tile[0]):
            self._cached.clear()
            yield self.levels(Rect(0, y, width, min(height, y + self._tile[0])))

    def levels(self, area: Rect) -> npt.NDArray[Any]:
        """See `RegionSource.levels`."""
        height, width, n_channels = self.shape
        tile_height, tile_width = self._tile
        across, down = -(-width // tile_width), -(-height // tile_height)
        result = np.empty((area.height, area.width, n_channels), self._dtype)
        for row in range(area.y0 // tile_height, -(-area.y1 // tile_height)):
            for column in range(area.x0 // tile_width, -(-area.x1 // tile_width)):
                x, y = column * tile_width, row * tile_height
                place = Rect(x, y, min(width, x + tile_width), min(height, y + tile_height))
                shared = place.overlap(area)
                for plane in range(self._planes):
                    part = self._segment((plane * down + row) * across + column, place)
                    channels = slice(plane, plane + 1) if self._planes > 1 else slice(None)
                    result[shared.slices(area)][:, :, channels] = part[shared.slices(place)]
        return self.largest - result if self._inverted else result

    def _segment(self, index: int, place: Rect) -> npt.NDArray[Any]:
        """(h, w, c) of a tile, cut at the picture's edges."""
        if index in self._cached:
            self._cached.move_to_end(index)
            return self._cached[index]
        n_channels = self.shape[2] // self._planes
        part = np.zeros((place.height, place.width, n_channels), self._dtype)  # what is not stored is 0
        data = self._bytes(index)
        if data:
            try:
                with one_line_errors(self._name):
                    decoded, _, shape = self._page.decode(data, index, jpegtables=self._page.jpegtables)
                    rows, columns = min(shape[1], place.height), min(shape[2], place.width)
                    part[:rows, :columns] = np.asarray(decoded).reshape(shape)[0, :rows, :columns]
            except Exception as fault:
                if "imagecodecs" in str(fault):
                    raise UnsupportedImage(
                        f"{self._name}: has a compression that is not read here; store it as deflate, or: "
                        "pip install imagecodecs"
                    ) from fault
                raise
        self._cached[index] = part
        while len(self._cached) > self._capacity:
            self._cached.popitem(last=False)
        return part

    def _bytes(self, index: int) -> bytes:
        offsets, sizes = self._page.dataoffsets, self._page.databytecounts
        if index >= len(offsets) or index >= len(sizes) or not sizes[index]:
            return b""
        if sizes[index] > 2 * MAX_SEGMENT_BYTES:
            raise LimitExceeded(f"{self._name}: strip or tile {index} takes {sizes[index]} bytes")
        self._file.seek(offsets[index])
        return self._file.read(sizes[index])

    def close(self) -> None:
        """Close the file."""
        self._cached.clear()
        self._file.close()
