"""Details of pictures that codecs were seen to fail at, each a window to look at, and pictures made to fail at.

A window names its picture by the stem of its file, wherever that lies; other pictures have windows chosen by rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from gscodec_bench.crops import Crop, Samples, choose
from gscodec_bench.sources import Source

DEFAULT_RATE: Final = 0.2
MADE: Final = "made"
"""Category of the pictures that are made here."""


@dataclass(frozen=True)
class Window:
    """A part of a picture, and the rate in bits per pixel at which the picture is shown."""

    crop: Crop
    rate: float = DEFAULT_RATE


NAMED: Final[dict[str, tuple[Window, ...]]] = {
    "kodim08": (Window(Crop("facades", 128, 0, 384, 384)),),
    "kodim13": (Window(Crop("river and gravel", 200, 200, 256, 192)),),
    "kde_EveningGlow": (Window(Crop("gravel", 512, 520, 344, 192)),),
    "pop_moon": (Window(Crop("moon", 494, 494, 384, 384)),),
    "gvn_street": (Window(Crop("street", 244, 94, 400, 400)),),
    "pdv_flowers": (Window(Crop("flowers", 868, 818, 400, 400), 0.05),),
    "grain": (Window(Crop("film grain", 0, 0, 256, 192)),),
    "text": (Window(Crop("text", 0, 0, 304, 192), 1.0),),
}


def windows_of(source: Source, samples: Samples) -> tuple[Window, ...]:
    """The windows of a picture (H, W, C): those with its name that lie inside it, or the two chosen by rule."""
    height, width = samples.shape[:2]
    named = NAMED.get(PurePosixPath(source.name).name, ())
    inside = [w for w in named if w.crop.x + w.crop.width <= width and w.crop.y + w.crop.height <= height]
    return tuple(inside) or tuple(Window(crop) for crop in choose(samples))


def make_pictures(folder: Path) -> list[Source]:
    """The pictures that are made here, as PNG files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for name, make in _MAKERS.items():
        path = folder / f"{name}.png"
        Image.fromarray(make()).save(path)
        sources.append(Source(f"{MADE}/{name}", MADE, (path,)))
    return sources


def grain() -> npt.NDArray[np.uint8]:
    """uint8 (384, 512, 3): a smooth bluish gradient under strong independent noise, as of a high ISO speed."""
    y, x = np.mgrid[0:384, 0:512]
    light = 100 + 30 * x / 512 - 15 * y / 384
    clean = light[:, :, None] + np.array([-6, 2, 14])
    noise = np.random.default_rng(7).normal(0, 16, clean.shape)
    return np.asarray(np.clip(np.rint(clean + noise), 0, 255), np.uint8)


def text() -> npt.NDArray[np.uint8]:
    """uint8 (288, 448, 3): lines of small black and red text on white paper."""
    page = Image.new("RGB", (448, 288), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(13)
    for line in range(14):
        colour = (176, 0, 0) if line % 3 == 0 else (0, 0, 0)
        draw.text((10, 6 + 20 * line), f"{line + 1}. Sphinx of black quartz, judge my vow: {7919 * line}", colour, font)
    return np.asarray(page)


_MAKERS: Final[dict[str, Callable[[], npt.NDArray[np.uint8]]]] = {"grain": grain, "text": text}
