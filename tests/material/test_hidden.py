from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gscodec.errors import InvalidArgument
from gscodec.image.arrays import from_array
from gscodec.image.hidden_texels import filled
from gscodec.image.stack import ImageStack
from gscodec.material.masks import hide
from gscodec.model.gaussians import Float32Array


def noise(height: int, width: int, channels: int = 3) -> Float32Array:
    return np.random.default_rng(5).random((height, width, channels), dtype=np.float32)


def stack_of(samples: Float32Array) -> ImageStack:
    return from_array(samples)


def chart(height: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    y, x = np.mgrid[0:height, 0:width]
    return np.asarray(np.hypot(x - width / 2, y - height / 2) < 0.3 * min(height, width))


@pytest.mark.parametrize("shape", [(40, 60), (33, 17), (1, 9), (9, 1), (2, 2)])
def test_what_is_seen_stays_and_what_is_not_goes_on_smoothly(shape: tuple[int, int]) -> None:
    samples, visible = noise(*shape), chart(*shape)
    visible.flat[0] = True
    result = filled(samples, visible)
    assert np.array_equal(result[visible], samples[visible])
    assert np.isfinite(result).all()
    low, high = samples[visible].min(axis=0), samples[visible].max(axis=0)
    assert (result >= low - 1e-6).all()
    assert (result <= high + 1e-6).all()


def test_hidden_texels_of_a_ramp_lie_between_their_neighbours() -> None:
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], 64, axis=0)
    visible = np.ones((64, 64), np.bool_)
    visible[20:40, 20:40] = False
    damaged = np.where(visible[:, :, None], ramp, np.float32(0.9))
    assert np.abs(filled(damaged, visible) - ramp).max() < 0.1


def test_a_hidden_texel_says_nothing() -> None:
    samples, visible = noise(40, 40), chart(40, 40)
    other = np.where(visible[:, :, None], samples, 1 - samples)
    assert np.array_equal(hide(stack_of(samples), visible).samples, hide(stack_of(other), visible).samples)


def test_a_mask_of_another_size_hides_no_texel_that_is_seen_in_part(tmp_path: Path) -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2, 3] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    larger = hide(stack_of(noise(32, 32)), tmp_path / "mask.png").visible
    assert larger is not None
    assert larger[8:12, 12:16].all()
    smaller = hide(stack_of(noise(4, 4)), tmp_path / "mask.png").visible
    assert smaller is not None
    assert smaller[1, 1]
    assert smaller.sum() == 1


def test_a_mask_that_hides_nothing_changes_nothing() -> None:
    stack = stack_of(noise(9, 9))
    assert hide(stack, np.ones((9, 9), np.uint8)) is stack


@pytest.mark.parametrize(
    ("mask", "fact"), [(np.zeros((9, 9)), "hides every texel"), (np.ones((9, 9, 3)), "is not a mask")]
)
def test_masks_that_make_no_sense_are_refused(mask: np.ndarray, fact: str) -> None:
    with pytest.raises(InvalidArgument, match=fact):
        hide(stack_of(noise(9, 9)), mask)
