import numpy as np
import pytest

from gscodec.image.arrays import from_array
from gscodec.image.stack import picture_groups
from gscodec.material.saliency import image_signature
from gscodec.model.channels import AlphaMode, ChannelGroup, Role
from gscodec.model.gaussians import Float32Array


def spot(height: int, width: int, x: int, y: int) -> Float32Array:
    """A red disc of 1/16 of the width before a slow ramp of blue and gray."""
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = np.stack([0.3 + 0.2 * columns / width, 0.3 + 0.2 * rows / height, 0.5 + 0.0 * rows], axis=2)
    inside = np.hypot(columns - x, rows - y) < width / 16
    return np.where(inside[:, :, None], (0.9, 0.1, 0.1), ramp).astype(np.float32)


@pytest.mark.parametrize(("height", "width", "x", "y"), [(96, 128, 40, 30), (200, 90, 60, 150), (40, 48, 20, 24)])
def test_a_small_thing_stands_out_where_it_is(height: int, width: int, x: int, y: int) -> None:
    stack = from_array(spot(height, width, x, y))
    found = image_signature(stack.samples, stack.groups)
    assert found.shape == (height, width)
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1
    top, left = np.unravel_index(int(found.argmax()), found.shape)
    assert np.hypot(left - x, top - y) < width / 10
    assert found.mean() < 0.5 * found[y, x]


@pytest.mark.parametrize("shape", [(32, 40, 3), (2, 300, 3), (1, 1, 1), (64, 64, 2)])
def test_where_nothing_stands_out_all_is_as_important(shape: tuple[int, int, int]) -> None:
    flat = np.full(shape, 0.4, np.float32)
    assert (image_signature(flat, picture_groups(shape[2], 8)) == 1).all()


def test_alpha_is_not_looked_at_and_data_is() -> None:
    y, x = np.mgrid[0:64, 0:64]
    disc = (np.hypot(x - 20, y - 40) < 5).astype(np.float32)
    clear = np.stack([np.full((64, 64), 0.5, np.float32), disc], axis=2)
    data = (ChannelGroup("data", Role.DATA, 2, 8),)
    assert data[0].alpha == AlphaMode.NONE
    assert (image_signature(clear, picture_groups(2, 8)) == 1).all()
    found = image_signature(clear, data)
    assert found[40, 20] > 0.8
    assert found[10, 50] < 0.2
