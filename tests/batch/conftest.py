from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Painter = Callable[..., Path]

QUICK = {"gaussians": 20, "preset": "fast", "steps": 5, "lods": 1}


@pytest.fixture
def paint() -> Painter:
    """Saves a small picture of blocks, in colour or as a map of its name has to be: paint(path, seed)."""

    def build(path: Path, seed: int = 0, side: int = 32) -> Path:
        blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        word = path.stem.rpartition("_")[2]
        if word in {"ao", "rough", "rgh"}:
            blocks[:, :, 1:] = blocks[:, :, :1]
        if word in {"nor", "normal"}:
            slopes = blocks[:, :, :2] / 255.0 - 0.5
            vectors = np.concatenate([slopes, np.sqrt(1 - np.square(slopes).sum(axis=2, keepdims=True))], axis=2)
            blocks = np.asarray(127.5 + 127.5 * vectors, np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.kron(blocks, np.ones((side // 4, side // 4, 1), np.uint8))).save(path)
        return path

    return build


@pytest.fixture
def tree(tmp_path: Path, paint: Painter) -> Path:
    """Three pictures and a material."""
    for number, name in enumerate(("x.png", "a/y.png", "a/z.png", "rock/albedo.png", "rock/ao.png")):
        paint(tmp_path / "src" / name, number)
    return tmp_path / "src"
