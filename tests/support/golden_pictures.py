"""What a file decodes to, as one gray picture of 8 bits that can be committed and looked at."""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from gscodec.decoding.image import open_igs
from gscodec.render.base import Rasterizer

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "v1"


def picture_of(path: Path, engine: Rasterizer) -> npt.NDArray[np.uint8]:
    """uint8 (rows, columns): the channels side by side, the levels of detail that the file holds below each other."""
    with open_igs(path, device=engine) as image:
        levels = [image.render(lod, dtype=np.uint8) for lod in image.available_lods]
    return np.concatenate([np.concatenate(np.moveaxis(level, 2, 0), axis=1) for level in levels])


def golden_picture(path: Path) -> npt.NDArray[np.uint8]:
    """The committed picture of a file."""
    with Image.open(path.with_suffix(".png")) as image:
        return np.asarray(image)
