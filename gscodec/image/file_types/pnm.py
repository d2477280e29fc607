"""PBM, PGM and PPM, through Pillow up to 8 bits; of deeper ones it reads one sample at a time, and colour only at 8.

Source: Netpbm manual, formats pbm, pgm and ppm.
"""

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from gscodec.errors import BadImage, UnsupportedImage
from gscodec.image.file_types.base import IntegerPicture, SourceFile
from gscodec.image.file_types.pillow import PillowType

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile


class Pnm(PillowType):
    """PBM, PGM and PPM: as text up to 8 bits, binary ones up to 16; written binary, which of them by the samples."""

    name = "PPM"
    title = "PPM"
    starts = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
    read_suffixes = (".ppm", ".pgm", ".pbm", ".pnm")
    written_suffixes = (".ppm", ".pgm", ".pbm", ".pnm")
    has_16_bits = has_bilevel = True

    def recognises(self, head: bytes) -> bool:
        """See `PictureType.recognises`."""
        return super().recognises(head) and head[2:3] in {b" ", b"\t", b"\r", b"\n", b"#"}

    @property
    def restored_suffixes(self) -> tuple[str, ...]:
        """See `PictureType.restored_suffixes`; .pbm and .pnm sources come back as PNG."""
        return (".ppm", ".pgm")

    def levels(self, image: "ImageFile", source: SourceFile) -> tuple[npt.NDArray[Any], int]:
        """See `PillowType.levels`."""
        if _is_deep(image):
            return _deep_levels(source.file, image, source.name)
        return super().levels(image, source)

    def write(self, picture: IntegerPicture) -> bytes:
        """See `PictureType.write`."""
        return _deep_file(picture.samples) if picture.samples.dtype == np.uint16 else super().write(picture)


def _is_deep(image: "ImageFile") -> bool:
    """Whether a freshly opened PGM or PPM has samples of two bytes."""
    return image.mode == "I" or _largest(image) > 255


def _deep_levels(file: BinaryIO, image: "ImageFile", name: str) -> tuple[npt.NDArray[np.uint16], int]:
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


def _deep_file(samples: npt.NDArray[np.uint16]) -> bytes:
    """A binary PGM or PPM of 16-bit samples (H, W, 1) or (H, W, 3)."""
    height, width, n_channels = samples.shape
    return b"P%d\n%d %d\n65535\n" % (5 if n_channels == 1 else 6, width, height) + samples.astype(">u2").tobytes()
