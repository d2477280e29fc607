from pathlib import Path

import pytest
from quick_batch import Painter
from small_pictures import paint_blocks


@pytest.fixture
def paint() -> Painter:
    """Saves a small picture of blocks, in colour or as a map of its name has to be: paint(path, seed)."""
    return paint_blocks


@pytest.fixture
def tree(tmp_path: Path, paint: Painter) -> Path:
    """Three pictures and a material."""
    for number, name in enumerate(("x.png", "a/y.png", "a/z.png", "rock/albedo.png", "rock/ao.png")):
        paint(tmp_path / "src" / name, number)
    return tmp_path / "src"
