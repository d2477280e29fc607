"""Samples of TIFF files that Pillow does not read, or not with all their bits; through tifffile."""

from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from gscodec.errors import UnsupportedImage
from gscodec.image.alpha import straight_levels
from gscodec.image.file_types.tiff_layout import (
    ASSOCIATED,
    BLACK_IS_ZERO,
    PALETTE,
    RGB,
    SEPARATED,
    WHITE_IS_ZERO,
    YCBCR,
    TiffLayout,
    page_of,
    unread_compression,
)

_PILLOW_BITS = {
    WHITE_IS_ZERO: (1, 2, 4, 8, 16),
    BLACK_IS_ZERO: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    SEPARATED: (8, 16),
    YCBCR: (8,),
}


def is_for_tifffile(layout: TiffLayout) -> bool:
    """Whether a picture of unsigned integers is read here: odd depths, 16-bit planes, gray with more channels."""
    bits = max(layout.bits)
    if bits == 12 and layout.photometric == BLACK_IS_ZERO and layout.n_samples == 1:
        return find_spec("imagecodecs") is not None  # which tifffile needs for packed samples
    if bits not in _PILLOW_BITS.get(layout.photometric, ()):
        return True
    if layout.is_planar and bits > 8:
        return True
    n_extra = layout.n_samples - layout.n_colours
    if layout.photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO} and n_extra:
        return bits != 8 or n_extra > 1 or layout.photometric == WHITE_IS_ZERO
    return bits == 16 and n_extra > (layout.photometric == RGB)


def read_levels(file: BinaryIO, layout: TiffLayout, name: str) -> tuple[npt.NDArray[np.uint16], tuple[str, ...]]:
    """(H, W, C) levels of a picture that `is_for_tifffile`, alpha straight and last, and what of it is not read.

    Raises:
        UnsupportedImage: a compression that needs the imagecodecs package, or a combination of tags without a meaning.
    """
    if layout.photometric not in {WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED}:
        bits = max(layout.bits)
        raise UnsupportedImage(
            f"{name}: a TIFF of photometric interpretation {layout.photometric} with {bits}-bit samples is not read; "
            "convert it to RGB"
        )
    samples = stored_samples(file, layout, name)
    largest = (1 << max(layout.bits)) - 1
    if layout.photometric == PALETTE:
        return _through_palette(file, layout, samples[:, :, 0]), ()
    n_colours = layout.n_colours
    colour, extra = samples[:, :, :n_colours], samples[:, :, n_colours:]
    if layout.photometric == WHITE_IS_ZERO:
        colour = largest - colour
    notes: tuple[str, ...] = ()
    has_alpha = layout.photometric != SEPARATED and _has_alpha(layout)
    n_kept = int(has_alpha)
    if not has_alpha and layout.photometric == BLACK_IS_ZERO and extra.shape[2] > 1:
        return np.asarray(samples, np.uint16), ()  # channels of data
    if extra.shape[2] > n_kept:
        notes = (f"{extra.shape[2] - n_kept} extra channels are left out",)
    if not has_alpha:
        return np.asarray(colour, np.uint16), notes
    alpha = extra[:, :, :1]
    if layout.extra and layout.extra[0] == ASSOCIATED:
        colour = straight_levels(colour, alpha, largest)
    return np.concatenate([colour, alpha], axis=2).astype(np.uint16), notes


def stored_samples(file: BinaryIO, layout: TiffLayout, name: str) -> npt.NDArray[Any]:
    """(H, W, C) samples of any type as they are stored.

    Raises:
        UnsupportedImage: a compression or predictor that needs the imagecodecs package.
    """
    import tifffile

    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            pixels = np.asarray(page_of(tiff, layout).asarray())
    except (ValueError, NotImplementedError) as fault:
        if "imagecodecs" in str(fault) or isinstance(fault, NotImplementedError):
            raise UnsupportedImage(f"{name}: {unread_compression(layout)}, or: pip install imagecodecs") from fault
        raise
    height, width, n_samples = layout.height, layout.width, layout.n_samples
    if layout.is_planar:
        return np.moveaxis(pixels.reshape(n_samples, height, width), 0, 2)
    return pixels.reshape(height, width, n_samples)


def _has_alpha(layout: TiffLayout) -> bool:
    """Whether the first sample beyond the colour is one: said to be, or the only one and not said to be anything."""
    n_extra = layout.n_samples - layout.n_colours
    if layout.extra:
        return n_extra > 0 and layout.extra[0] in {1, 2}
    return n_extra == 1


def _through_palette(file: BinaryIO, layout: TiffLayout, indices: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        colours = np.asarray(page_of(tiff, layout).colormap)  # (3, 2^bits)
    return np.moveaxis(colours[:, indices], 0, 2).astype(np.uint16)
