"""JPEG, WebP and AVIF, through Pillow."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import PIL
from PIL import Image, ImageFile, UnidentifiedImageError, features

from gscodec.image.stack import ImageStack
from gscodec_bench.codecs.base import Codec, Picture, bytes_of, is_normal_map, rgb_of


class PillowCodec(Codec):
    """A codec with a quality from 0 to 100; a setting is that number."""

    format: ClassVar[str]
    feature: ClassVar[str]  # Pillow's name of the library
    grid: ClassVar[tuple[int, ...]]

    def available(self) -> str | None:
        """See `Codec.available`."""
        if features.check(self.feature):
            return None
        return f"this Pillow has no {self.format}: pip install --upgrade pillow"

    def version(self) -> str:
        """The library's version, and Pillow's, which sets what is not said here."""
        library = features.version("libjpeg_turbo") if self.feature == "jpg" else None
        return f"{self.format} {library or features.version(self.feature)}, Pillow {PIL.__version__}"

    def settings(self, rates: Sequence[float]) -> list[str]:  # noqa: ARG002
        """Qualities, whatever the rates asked for: these codecs are not asked for one."""
        return [str(quality) for quality in self.grid]

    def dial(self, level: float) -> str:
        """See `Codec.dial`."""
        return str(round(100 * level))

    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """See `Codec.encode`."""
        file = io.BytesIO()
        self._picture(stack).save(file, self.format, quality=int(setting), **self._options(stack))
        return file.getvalue()

    def decode(self, data: bytes, height: int, width: int) -> Picture:  # noqa: ARG002
        """See `Codec.decode`."""
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)

    def _picture(self, stack: ImageStack) -> Image.Image:
        return Image.fromarray(rgb_of(stack))

    def _options(self, stack: ImageStack) -> dict[str, Any]:
        raise NotImplementedError


class Jpeg(PillowCodec):
    """JPEG: optimised, progressive, 4:2:0 (4:4:4 for normal maps); gray as gray."""

    name = "jpeg"
    suffix = ".jpg"
    format = "JPEG"
    feature = "jpg"
    grid = (1, 3, 5, 8, 12, 18, 25, 35, 50, 65, 80)

    def decode_partial(self, data: bytes, height: int, width: int) -> Picture | None:  # noqa: ARG002
        """See `Codec.decode_partial`: the scans, and rows of the last one, that have arrived."""
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
        try:
            with Image.open(io.BytesIO(data)) as image:
                return np.asarray(image)
        except (UnidentifiedImageError, OSError, SyntaxError):
            return None
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before

    def _picture(self, stack: ImageStack) -> Image.Image:
        samples = bytes_of(stack)
        return Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)

    def _options(self, stack: ImageStack) -> dict[str, Any]:
        subsampling = "4:4:4" if is_normal_map(stack) else "4:2:0"
        return {"optimize": True, "progressive": True, "subsampling": subsampling}


class WebP(PillowCodec):
    """Lossy WebP with its slowest method, 6. It has 4:2:0 alone."""

    name = "webp"
    suffix = ".webp"
    format = "WEBP"
    feature = "webp"
    grid = (0, 2, 5, 10, 20, 35, 50, 65, 80)

    def _options(self, stack: ImageStack) -> dict[str, Any]:  # noqa: ARG002
        return {"method": 6}


@dataclass(frozen=True)
class Avif(PillowCodec):
    """AVIF at speed 6, 4:4:4, gray without chroma; with a tune of libaom's encoder, or its default for pictures.

    `avif:iq` and `avif:ssimulacra2` are tuned for what people see, `avif:psnr` and `avif:ssim` for those metrics. From
    libavif 1.4 with libaom 3.13 on, `iq` is the default.
    """

    tune: str | None = None

    suffix = ".avif"
    format = "AVIF"
    feature = "avif"
    grid = (2, 6, 12, 20, 30, 40, 52, 64)

    @property
    def name(self) -> str:  # type: ignore[override]  # an attribute of the others
        """`avif`, and its tune."""
        return f"avif:{self.tune}" if self.tune else "avif"

    def available(self) -> str | None:
        """See `Codec.available`. A tune that gives the default's file is left out too."""
        reason = super().available()
        if reason or self.tune is None:
            return reason
        try:
            tuned, default = (_probe(tune) for tune in (self.tune, None))
        except (OSError, RuntimeError, ValueError) as error:
            return f"this encoder has no tune {self.tune}: {error}"
        return f"tune {self.tune} is the default of this encoder: see avif" if tuned == default else None

    def version(self) -> str:
        """See `PillowCodec.version`; with the tune."""
        return super().version() + (f", tune {self.tune}" if self.tune else "")

    def _options(self, stack: ImageStack) -> dict[str, Any]:
        subsampling = "4:0:0" if stack.samples.shape[2] == 1 else "4:4:4"
        return {"speed": 6, "subsampling": subsampling} | _tune_options(self.tune)


def _tune_options(tune: str | None) -> dict[str, Any]:
    return {"codec": "aom", "advanced": {"tune": tune}} if tune else {}


@cache
def _probe(tune: str | None) -> bytes:
    """The file of a small picture of noise, which says whether two tunes differ."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "AVIF", quality=40, speed=6, subsampling="4:4:4", **_tune_options(tune))
    return file.getvalue()
