"""Binary PGM and PPM of more than 8 bits, which Pillow reads one sample at a time, and colour only at 8."""

from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, UnsupportedImage

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile


def is_deep_pnm(image: "ImageFile") -> bool:
    """Whether a freshly opened PGM or PPM has samples of two bytes."""
    return image.format == "PPM" and (image.mode == "I" or _largest(image) > 255)


def read_deep_pnm(file: BinaryIO, image: "ImageFile", name: str) -> tuple[npt.NDArray[np.uint16], int]:
    """(H, W, C) levels of such a picture, and the largest level there can be.

    Raises:
        UnsupportedImage: samples are written as text.
        BadImage: the file is cut off, or a sample is above the largest.
    """
    if image.tile[0].codec_name == "ppm_plain":
        raise UnsupportedImage(f"{name}: PGM and PPM as text are read up to 8 bits; write the binary kind")
    largest = _largest(image)
    width, height = image.size
    n_channels = 1 if image.mode == "I" else 3
    n_bytes = 2 * width * height * n_channels
    file.seek(image.tile[0].offset)
    data = file.read(n_bytes)
    if len(data) < n_bytes:
        raise BadImage(f"{name}: the picture is cut off after {len(data)} of {n_bytes} bytes; get a whole copy")
    samples = np.frombuffer(data, ">u2").reshape(height, width, n_channels).astype(np.uint16)
    if samples.max() > largest:
        raise BadImage(f"{name}: a sample of {samples.max()} is above the largest allowed, {largest}")
    return samples, largest


def _largest(image: "ImageFile") -> int:
    args = image.tile[0].args if image.tile else None
    if args == "I;16B" or (isinstance(args, tuple) and args[:1] == ("I;16B",)):
        return 65535
    last = args[-1] if isinstance(args, tuple) else None
    return last if isinstance(last, int) and image.tile[0].codec_name.startswith("ppm") else 255


def write_deep_pnm(samples: npt.NDArray[np.uint16]) -> bytes:
    """A binary PGM or PPM of 16-bit samples (H, W, 1) or (H, W, 3)."""
    height, width, n_channels = samples.shape
    return b"P%d\n%d %d\n65535\n" % (5 if n_channels == 1 else 6, width, height) + samples.astype(">u2").tobytes()
