import pytest
from small_pictures import disc

from gscodec.model.gaussians import Float32Array


@pytest.fixture(scope="module")
def picture() -> Float32Array:
    return disc(48, 72)
