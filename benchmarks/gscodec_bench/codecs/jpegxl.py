"""JPEG XL, through imagecodecs."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

import numpy as np

from gscodec.image.stack import ImageStack
from gscodec_bench.codecs.base import Codec, Picture, bytes_of

EFFORT: Final = 6
GRID: Final = ("25", "18", "13", "9", "6.5", "4.5", "3", "2")


class JpegXl(Codec):
    """Lossy JPEG XL (VarDCT) at effort 6; a setting is a Butteraugli distance, smaller for larger files."""

    name = "jxl"
    suffix = ".jxl"

    def available(self) -> str | None:
        """See `Codec.available`."""
        if not find_spec("imagecodecs"):
            return "imagecodecs is not installed: pip install --group bench"
        import imagecodecs

        return None if imagecodecs.JPEGXL.available else "this imagecodecs has no JPEG XL"

    def version(self) -> str:
        """See `Codec.version`."""
        import imagecodecs

        return f"{imagecodecs.jpegxl_version()}, effort {EFFORT}"

    def settings(self, rates: Sequence[float]) -> list[str]:  # noqa: ARG002
        """Distances, whatever the rates asked for."""
        return list(GRID)

    def dial(self, level: float) -> str:
        """See `Codec.dial`."""
        return f"{25 - 24.9 * level:.3f}"

    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """See `Codec.encode`."""
        import imagecodecs

        samples = bytes_of(stack)
        plane = np.ascontiguousarray(samples[:, :, 0]) if samples.shape[2] == 1 else samples
        return bytes(imagecodecs.jpegxl_encode(plane, distance=float(setting), effort=EFFORT))

    def decode(self, data: bytes, height: int, width: int) -> Picture:  # noqa: ARG002
        """See `Codec.decode`."""
        import imagecodecs

        return np.asarray(imagecodecs.jpegxl_decode(data))
