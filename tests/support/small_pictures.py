"""Pictures small enough to encode in a test."""

from pathlib import Path

import numpy as np
from PIL import Image

from gscodec.model.gaussians import Float32Array


def disc(height: int, width: int) -> Float32Array:
    """A soft orange disc on a blue ramp: smooth areas and one edge."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    radius = np.hypot(x - 0.55 * width, y - 0.4 * height) / min(height, width)
    inside = 1 / (1 + np.exp((radius - 0.3) * 60))
    ramp = np.stack([0.1 + 0 * x, 0.2 + 0.3 * y / height, 0.5 + 0.4 * x / width], axis=2)
    colour = np.array([0.9, 0.55, 0.1])
    picture: Float32Array = (ramp + inside[..., None] * (colour - ramp)).astype(np.float32)
    return picture


def draw_picture(height: int, width: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A smooth colour picture with an edge, uint8 (height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    phase = np.random.default_rng(seed).uniform(0.0, 6.0, 3)
    waves = np.stack([0.5 + 0.4 * np.sin(5.0 * x + 3.0 * y + angle) for angle in phase], axis=-1)
    waves[x > y] *= 0.6
    return np.asarray(waves * 255.0 + 0.5, dtype=np.uint8)


def paint_blocks(path: Path, seed: int = 0, side: int = 32) -> Path:
    """Save a small picture of blocks, in colour or as the map that its name says, and return its path."""
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
