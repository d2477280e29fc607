"""Parts of a picture to look at, chosen by rule and not by taste, and maps of what is wrong in them."""

import base64
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Samples = npt.NDArray[np.float32]

CROP_PX: Final = 128
ERROR_FULL_SCALE: Final = 0.25
"""Error, as a share of the sample range, that an error map shows white."""


@dataclass(frozen=True)
class Crop:
    """A window of whole pixels."""

    title: str
    x: int
    y: int
    width: int
    height: int

    def of(self, samples: Samples) -> Samples:
        """The window's samples."""
        return samples[self.y : self.y + self.height, self.x : self.x + self.width]


def choose(samples: Samples, side: int = CROP_PX) -> list[Crop]:
    """The windows, on a grid of half their side, with the most detail and with the median amount of it.

    Detail is the mean of absolute differences between neighbours. A picture without room for two windows gives one.
    """
    height, width, _ = samples.shape
    h, w = min(side, height), min(side, width)
    gray = samples.mean(axis=2)
    places = [(x, y) for y in range(0, height - h + 1, max(1, h // 2)) for x in range(0, width - w + 1, max(1, w // 2))]
    places.sort(key=lambda place: _detail(gray[place[1] : place[1] + h, place[0] : place[0] + w]))
    busiest, typical = places[-1], places[len(places) // 2]
    crops = [Crop("most detail", *busiest, w, h)]
    return crops if typical == busiest else [*crops, Crop("median detail", *typical, w, h)]


def error_map(source: Samples, decoded: Samples) -> npt.NDArray[np.uint8]:
    """uint8 (h, w) largest error of a pixel's channels; ERROR_FULL_SCALE and more is white, none is black."""
    worst = np.abs(source - decoded).max(axis=2) / ERROR_FULL_SCALE
    return np.asarray(np.rint(np.clip(worst, 0, 1) * 255), np.uint8)


def data_uri(samples: Samples | npt.NDArray[np.uint8]) -> str:
    """A picture as text for a web page: lossless WebP, so that nothing is seen that the codec did not do."""
    levels = samples if samples.dtype == np.uint8 else np.asarray(np.rint(np.clip(samples, 0, 1) * 255), np.uint8)
    if levels.ndim == 3:
        levels = levels[:, :, 0] if levels.shape[2] < 3 else levels[:, :, :3]
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels)).save(file, "WEBP", lossless=True, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _detail(gray: npt.NDArray[np.float32]) -> float:
    return float(np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean())
