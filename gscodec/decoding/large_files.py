"""Decodes large pictures to tiled TIFF files, strip by strip."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gscodec.decoding.image import IgsImage
from gscodec.image.levels import has_floats, native_dtype
from gscodec.image.save import is_written_in_strips, save_strips
from gscodec.model.constants import LARGE_PIXELS


def is_streamed(
    image: IgsImage,
    output: Path,
    format_name: str | None,
    bits: int | None,
    region: Sequence[int] | None,
    size: Sequence[int] | None,
) -> bool:
    """Whether the output is a TIFF of a single picture of more than LARGE_PIXELS, at its own or an integer depth."""
    height, width = size or (region[3:1:-1] if region is not None else image.shape[:2])
    as_stored = len(image.groups) == 1 and not image.has_file_chunk
    return (
        height * width > LARGE_PIXELS
        and as_stored
        and is_written_in_strips(os.fspath(output), format_name)
        and (bits is None or (bits < 32 and not has_floats(image.groups)))
    )


def stream_picture(
    image: IgsImage,
    output: Path,
    bits: int | None,
    lod: int | None,
    region: Sequence[int] | None,
    size: Sequence[int] | None,
    overwrite: bool,
) -> tuple[int, int]:
    """(height, width) of a picture for which `is_streamed` holds, after writing it.

    Raises:
        GsCodecError: as `IgsImage.strips` and `save_strips`.
    """
    height, width = size or (region[3:1:-1] if region is not None else image.shape[:2])
    dtype = None if bits is None else np.dtype(f"u{bits // 8}")
    save_strips(
        output,
        image.strips(lod, region, size, dtype),
        (height, width),
        dtype or native_dtype(image.groups),
        image.groups,
        image.icc,
        overwrite=overwrite,
        metadata=image.metadata,
    )
    return height, width
