from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image


def make_waves(height: int, width: int, channels: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A smooth picture that codecs can do something with."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        127 + 90 * np.sin(x / rng.uniform(4, 9) + y / rng.uniform(5, 11)) + rng.normal(0, 4, (height, width))
        for _ in range(channels)
    ]
    return np.asarray(np.clip(np.stack(planes, axis=2), 0, 255), np.uint8)


@pytest.fixture
def waves() -> Callable[..., npt.NDArray[np.uint8]]:
    """make_waves(height, width, channels, seed), for tests that need samples rather than files."""
    return make_waves


def write_picture(path: Path, samples: npt.NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples).save(path)
    return path


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """Two pictures, a stack of three maps, and things that cannot be measured."""
    root = tmp_path / "gallery"
    write_picture(root / "photo" / "one.png", make_waves(70, 90, 3, 1))
    write_picture(root / "art_two.png", make_waves(64, 64, 3, 2))
    write_picture(root / "rock" / "rock_albedo.png", make_waves(64, 72, 3, 3))
    write_picture(root / "rock" / "rock_normal.png", make_waves(64, 72, 3, 4))
    write_picture(root / "rock" / "rock-roughness.png", make_waves(64, 72, 1, 5))
    (root / "odd").mkdir()
    (root / "odd" / "empty.png").write_bytes(b"")
    (root / "sky.exr").write_bytes(b"")
    (root / "notes.txt").write_text("not a picture")
    return root
