import pytest
from small_pictures import disc

from gscodec.model.gaussians import Float32Array, Grid


@pytest.fixture(scope="module")
def picture() -> Float32Array:
    return disc(48, 72)


@pytest.fixture(scope="module")
def grid(picture: Float32Array) -> Grid:
    return Grid(picture.shape[0], picture.shape[1], picture.mean(axis=(0, 1)))
