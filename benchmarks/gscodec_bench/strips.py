"""Pictures of one size beside each other, with their names above them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

GAP_PX: Final = 4
TITLE_PX: Final = 16

Samples = npt.NDArray[np.float32]


def strip(shown: Sequence[tuple[str, Samples]]) -> Image.Image:
    """RGB picture of samples (H, W, 1 or 3) in 0..1, all of one size, in a row under their names."""
    height, width = shown[0][1].shape[:2]
    size = (len(shown) * (width + GAP_PX) - GAP_PX, height + TITLE_PX)
    row = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(11)
    for number, (name, samples) in enumerate(shown):
        left = number * (width + GAP_PX)
        levels = np.asarray(np.rint(np.clip(samples, 0, 1) * 255), np.uint8)
        row.paste(Image.fromarray(np.broadcast_to(levels, (*levels.shape[:2], 3)).copy()), (left, TITLE_PX))
        draw.text((left + 2, 1), name, "black", font)
    return row
