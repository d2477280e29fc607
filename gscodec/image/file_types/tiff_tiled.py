"""Tiled TIFF and BigTIFF files that are written from the top down, in memory that does not grow with the picture."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import UnsupportedImage
from gscodec.format.metadata import NO_METADATA
from gscodec.image.file_types.base import StripPicture
from gscodec.image.profiles import sound_profile
from gscodec.image.source_errors import warn_of_source
from gscodec.image.stack import is_cmyk
from gscodec.io.atomic import atomic_path

TILE_PX: Final = 256

_BIG: Final = (1 << 32) - (1 << 26)
"""Raw bytes from which on a file is a BigTIFF: deflate may gain nothing, and the directory needs room."""


def write_tiled_tiff(path: str | os.PathLike[str], picture: StripPicture, *, overwrite: bool) -> None:
    """A picture in deflated tiles of 256 x 256 px, whole or not at all.

    Raises:
        UnsupportedImage: several groups of channels.
        OutputExists, FileAccessError: as `write_atomic`.
    """
    import tifffile

    groups = picture.groups
    if len(groups) != 1:
        names = ", ".join(group.name for group in groups)
        raise UnsupportedImage(f"{path}: several groups of channels ({names}) are not one picture")
    (height, width), n_channels, kind = picture.size, groups[0].n_channels, picture.dtype
    shape = (height, width) if n_channels == 1 else (height, width, n_channels)
    is_ink = is_cmyk(groups)
    colours = 3 if n_channels in {3, 4} else 1
    options: dict[str, Any] = {
        "photometric": "separated" if is_ink else "rgb" if colours == 3 else "minisblack",
        "extrasamples": [] if is_ink else (["unassalpha"] if n_channels in {2, 4} else [0] * (n_channels - colours)),
        "planarconfig": "contig" if n_channels > 1 else None,
    }
    icc = sound_profile(picture.icc, groups, os.fspath(path))
    metadata = picture.metadata or NO_METADATA
    if metadata.density is not None:
        options |= {"resolution": metadata.density, "resolutionunit": "INCH"}
    if metadata.xmp:
        options["extratags"] = [(700, "B", len(metadata.xmp), metadata.xmp, True)]
    if metadata.exif:
        warn_of_source(f"{path}: metadata is left out: Exif, which TIFFs of this size are written without")
    with atomic_path(path, overwrite) as temporary:
        with tifffile.TiffWriter(temporary, bigtiff=height * width * n_channels * kind.itemsize >= _BIG) as writer:
            writer.write(
                _tiles(picture.strips, (height, width, n_channels), kind),
                shape=shape,
                dtype=kind,
                tile=(TILE_PX, TILE_PX),
                compression="zlib",
                compressionargs={"level": 4},
                predictor=kind.kind == "u",
                iccprofile=icc,
                metadata=None,
                software=False,
                buffersize=1 << 24,
                **options,
            )
        _sync(temporary)


def _tiles(
    strips: Iterable[tuple[int, npt.NDArray[Any]]], shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> Iterator[npt.NDArray[Any]]:
    """Tiles in row-major order; those at the edges are filled up with zeros."""
    height, width, n_channels = shape
    across = -(-width // TILE_PX)
    band = np.zeros((TILE_PX, across * TILE_PX, n_channels), dtype)
    for row, values in strips:
        at = 0
        while at < len(values):
            place = (row + at) % TILE_PX
            n = min(TILE_PX - place, len(values) - at)
            band[place : place + n, :width] = values[at : at + n]
            at += n
            if place + n == TILE_PX or row + at == height:
                band[place + n :] = 0
                for x in range(0, across * TILE_PX, TILE_PX):
                    tile = band[:, x : x + TILE_PX].copy()
                    yield tile[:, :, 0] if n_channels == 1 else tile


def _sync(path: os.PathLike[str]) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
