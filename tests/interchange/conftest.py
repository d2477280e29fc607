from pathlib import Path

import pytest
from PIL import Image
from small_pictures import draw_picture

import gscodec


@pytest.fixture(scope="session")
def igs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 48x32 px in profile f16 with two sets. Read only."""
    folder = tmp_path_factory.mktemp("gaussians")
    Image.fromarray(draw_picture(32, 48)).save(folder / "picture.png")
    path = folder / "picture.igs"
    gscodec.encode(folder / "picture.png", path, gaussians=200, preset="fast", steps=20, profile="f16", lods=2)
    return path
