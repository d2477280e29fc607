"""OpenEXR's two windows: the position of the stored pixels, and the part of the plane that is displayed."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.image.file_types.exr_chroma import REC_709
from gscodec.image.source_errors import warn_of_source
from gscodec.model.constants import MAX_DIMENSION, MAX_IMAGE_PIXELS

MOST_AROUND: Final = 64
"""Maximum size of a display window relative to the stored pixels, so that a small file cannot cause a huge picture
..."""

FREE_PIXELS: Final = 1 << 24
"""... if it has more than this number of pixels."""


def report_shape_and_primaries(exr: Mapping[str, Any], kind: str, name: str) -> None:
    """Warn about properties that only OpenEXR stores: non-square pixels, primaries."""
    lost = []
    chromaticities = exr.get("chromaticities")
    if chromaticities is not None and any(abs(a - b) > 0.002 for a, b in zip(chromaticities, REC_709, strict=True)):
        lost.append("the primaries of its colours, which are not those of sRGB and are not converted")
    if abs(exr.get("pixel_aspect", 1.0) - 1) > 1e-4:
        lost.append(f"pixels of aspect {exr['pixel_aspect']:g}")
    if lost:
        warn_of_source(f"{name}: {kind} has no place for {', and for '.join(lost)}")


def displayed(samples: npt.NDArray[Any], exr: Mapping[str, Any], name: str) -> npt.NDArray[Any]:
    """(h, w, C) part of (H, W, C) samples of the data window inside the display window; 0 where there are none.

    Samples of another size than the data window, a part or a reduced picture, stay as they are; so do those of a window
    that is far larger, with a SourceWarning.

    Args:
        exr: as `FileEntry.exr`.
        name: for messages.
    """
    data, shown = exr.get("data_window"), exr.get("display_window")
    if data is None or shown is None or data == shown:
        return samples
    height, width, n_channels = samples.shape
    if (data[3] - data[1] + 1, data[2] - data[0] + 1) != (height, width):
        return samples
    rows, columns = shown[3] - shown[1] + 1, shown[2] - shown[0] + 1
    if rows * columns > min(MAX_IMAGE_PIXELS, max(FREE_PIXELS, MOST_AROUND * height * width)) or (
        max(rows, columns) > MAX_DIMENSION
    ):
        warn_of_source(f"{name}: the display window of {columns}x{rows} px is left out; the picture is the data window")
        return samples
    result = np.zeros((rows, columns, n_channels), samples.dtype)
    left, top = data[0] - shown[0], data[1] - shown[1]
    x0, y0, x1, y1 = max(0, left), max(0, top), min(columns, left + width), min(rows, top + height)
    if x0 < x1 and y0 < y1:
        result[y0:y1, x0:x1] = samples[y0 - top : y1 - top, x0 - left : x1 - left]
    return result
