"""TIFF files of float samples, which Pillow reads in gray only; through tifffile."""

import io
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from gscodec.constants import MAX_CHANNELS
from gscodec.errors import LimitExceeded, UnsupportedImage
from gscodec.format.channels import Role
from gscodec.format.files import FileEntry
from gscodec.image.floats import finite, float_group, model_samples
from gscodec.image.stack import ImageStack, bare_name, check_dimensions

SIGNATURES: Final = (b"II\x2a\0", b"MM\0\x2a", b"II\x2b\0", b"MM\0\x2b")

_FLOAT: Final = 3  # SampleFormat, TIFF 6.0, section 19
_PLANAR_SEPARATE: Final = 2


def read_float_tiff(file: BinaryIO, name: str, nan: str) -> ImageStack | None:
    """The first picture of a TIFF of float samples, or None where it has others.

    Raises:
        UnsupportedImage: NaN or infinities where `nan` is error, or a compression that needs the imagecodecs package.
        LimitExceeded: too large.
    """
    import tifffile

    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            page: Any = tiff.pages[0]
            if page.sampleformat != _FLOAT:
                return None
            height, width, n_channels = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
            bits = int(page.bitspersample)
            planar = int(page.planarconfig) == _PLANAR_SEPARATE
    except Exception:  # damaged: whoever reads TIFFs of integers says so
        return None
    check_dimensions(height, width, name)
    if n_channels > MAX_CHANNELS:
        raise LimitExceeded(f"{name}: {n_channels} channels are above the limit of {MAX_CHANNELS}")
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            pixels = np.asarray(tiff.pages[0].asarray())
    except ValueError as fault:
        if "imagecodecs" in str(fault):
            fact = "compression that is not read here; store it as deflate, or: pip install imagecodecs"
            raise UnsupportedImage(f"{name}: has a {fact}") from fault
        raise
    pixels = pixels.reshape((n_channels, height, width) if planar else (height, width, n_channels))
    samples = finite(np.moveaxis(pixels, 0, 2) if planar else pixels, nan, name)
    role = Role.COLOR if n_channels in {1, 3, 4} else Role.DATA
    cuts = (
        [(0, 3, "color", role), (3, 4, "alpha", Role.OPACITY)] if n_channels == 4 else [(0, n_channels, "color", role)]
    )
    groups = tuple(
        float_group(group, samples[:, :, first:last], kind, 16 if bits == 16 else 32, bare_name(name, ".tiff"))
        for first, last, group, kind in cuts
    )
    parts = [
        model_samples(samples[:, :, first:last], group) for (first, last, _, _), group in zip(cuts, groups, strict=True)
    ]
    exr = {
        "channels": [
            {"name": channel, "type": "half" if bits == 16 else "float", "place": place}
            for place, channel in enumerate(_channel_names(n_channels))
        ]
    }
    entry = FileEntry(
        bare_name(name, ".tiff"), width, height, n_channels, tuple(group.name for group in groups), exr=exr
    )
    return ImageStack(np.concatenate(parts, axis=2), groups, None, name, (entry,))


def _channel_names(n_channels: int) -> list[str]:
    """What the channels are called where the picture becomes OpenEXR."""
    known = {1: ["Y"], 2: ["Y", "A"], 3: ["R", "G", "B"], 4: ["R", "G", "B", "A"]}
    return known.get(n_channels, [f"channel.{number}" for number in range(n_channels)])


def write_float_tiff(values: npt.NDArray[np.float32], bit_depth: int) -> bytes:
    """A TIFF of float samples (H, W, C), deflated."""
    import tifffile

    pixels = values.astype(np.float16 if bit_depth == 16 else np.float32)
    stream = io.BytesIO()
    photometric = "rgb" if pixels.shape[2] in {3, 4} else "minisblack"
    extra = ["unassalpha"] if pixels.shape[2] in {2, 4} else None
    data = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    tifffile.imwrite(
        stream,
        data,
        photometric=photometric,
        compression="zlib",
        planarconfig="contig" if data.ndim == 3 else None,
        extrasamples=extra,
        metadata=None,
    )
    return stream.getvalue()
