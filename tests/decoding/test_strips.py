"""Strips from the top down are the picture."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gscodec
from gscodec.decoding import scaled
from gscodec.errors import InvalidArgument


@pytest.mark.parametrize("region", [None, (5, 3, 40, 33)])
@pytest.mark.parametrize("size", [None, (90, 140), (20, 31), (90, 31), (20, 140)])
@pytest.mark.parametrize("dtype", [None, np.uint16, np.float32])
def test_strips_put_together_are_the_picture(
    igs: bytes, monkeypatch: pytest.MonkeyPatch, region: Any, size: Any, dtype: Any
) -> None:
    monkeypatch.setattr(scaled, "_STRIP_SAMPLES", 3 * 40 * 16)
    with gscodec.open(igs) as image:
        whole = image.render(1, region, size, dtype)
        rows: list[np.ndarray] = []
        for row, values in image.strips(1, region, size, dtype):
            assert row == sum(len(part) for part in rows)
            rows.append(values)
        assert len(rows) > 1
        together = np.concatenate(rows)
    assert together.dtype == whole.dtype
    assert np.array_equal(together, whole)


def test_depths_between_those_of_types_come_out_as_in_the_whole(build: Callable[..., bytes]) -> None:
    with gscodec.open(build(bit_depth=5)) as image:
        together = np.concatenate([values for _, values in image.strips()])
        assert np.array_equal(together, image.render())


def test_memory_does_not_grow_with_the_height(build: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaled, "_STRIP_SAMPLES", 1 << 14)
    peaks = []
    for height in (512, 8192):
        data = build(height=height, width=64, n_gaussians=200)
        with gscodec.open(data) as image:
            tracemalloc.start()
            n_rows = sum(len(values) for _, values in image.strips())
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert n_rows == height
    assert peaks[1] < 1.5 * peaks[0] + 100_000
    assert peaks[1] < 8192 * 64 * 3 / 2


def test_what_is_not_there_is_refused(igs: bytes) -> None:
    with gscodec.open(igs) as image:
        with pytest.raises(InvalidArgument):
            next(image.strips(region=(0, 0, 1000, 10)))
        with pytest.raises(InvalidArgument):
            next(image.strips(lod=7))
