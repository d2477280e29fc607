from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gscodec

HEIGHT, WIDTH = 27, 42
"""No multiples of 4, and odd in between."""


def draw_maps(folder: Path) -> None:
    """The maps of a material: colour, normals, a gray map in an RGB file, a mask, and colour with alpha."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    slopes = np.stack([0.4 * np.sin(6 * x), 0.4 * np.cos(5 * y)], axis=2)
    normals = np.concatenate([slopes, np.sqrt(1 - np.square(slopes).sum(axis=2, keepdims=True))], axis=2)
    gray = 0.5 + 0.4 * np.sin(9 * x * y)
    maps = {
        "rock_albedo": np.stack([x, y, 0.5 + 0.3 * np.sin(8 * x)], axis=2),
        "rock_normal": 0.5 + 0.5 * normals,
        "rock_roughness": np.repeat(gray[:, :, None], 3, axis=2),
        "rock_opacity": (x > 0.5).astype(np.float64),
        "rock_emissive": np.stack([x, 1 - x, y, (y > 0.3).astype(np.float64)], axis=2),
    }
    for name, values in maps.items():
        Image.fromarray(np.asarray(values * 255 + 0.5, np.uint8)).save(folder / f"{name}.png")


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of five maps as rock.igs. Read only."""
    folder = tmp_path_factory.mktemp("material")
    draw_maps(folder)
    path = tmp_path_factory.mktemp("igs") / "rock.igs"
    gscodec.encode(folder, path, gaussians=150, preset="fast", steps=20)
    return path
