"""What the compiled engine itself refuses: its Python callers check too, but memory must not depend on that."""

import gc
import sys
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest
from synthetic import synthetic_gaussians, synthetic_grid

from gscodec import _engine
from gscodec.format.crc32c import crc32c_runs
from gscodec.model.rendering import LossWeights
from gscodec.render.cpu import CpuRasterizer

HEIGHT, WIDTH, CHANNELS = 24, 40, 3
WEIGHTS = np.array([1.0, 0.0, 0.0, 0.0], np.float32)


def scene() -> tuple[Any, tuple[int, int], Any, int]:
    gaussians, grid = synthetic_gaussians(HEIGHT, WIDTH, 20, CHANNELS), synthetic_grid(HEIGHT, WIDTH, CHANNELS)
    index = CpuRasterizer(1).bin(gaussians, grid)
    parts = _engine.Scene(
        gaussians.means,
        gaussians.inv_scales,
        gaussians.rotations,
        gaussians.features,
        grid.background,
        index.offsets,
        index.indices,
    )
    return parts, (HEIGHT, WIDTH), index.tiles, grid.top_k


def planes(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.zeros(shape, np.float32)


GOOD = (CHANNELS, HEIGHT, WIDTH)
OTHER = [(CHANNELS - 1, HEIGHT, WIDTH), (CHANNELS, HEIGHT - 1, WIDTH), (CHANNELS, HEIGHT, WIDTH + 1), (1, 1, 1)]


@pytest.mark.parametrize("shape", OTHER)
def test_planes_of_another_shape_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="grad_planes do not match"):
        _engine.backward(*scene(), planes(*shape), "", 1)
    with pytest.raises(ValueError, match="target does not match"):
        _engine.fit_step(*scene(), planes(*shape), None, WEIGHTS, (1, 0, 0), _engine.StepScratch(), "", 1)
    with pytest.raises(ValueError, match="image and target do not match"):
        _engine.loss(planes(*GOOD), planes(*shape), None, WEIGHTS, "", 1)


@pytest.mark.parametrize("shape", [(1, HEIGHT, WIDTH - 1), (1, HEIGHT + 1, WIDTH), (1, 1, 1), (2, HEIGHT, WIDTH)])
def test_an_importance_of_another_shape_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="importance does not match"):
        _engine.loss(planes(*GOOD), planes(*GOOD), planes(*shape), WEIGHTS, "", 1)
    with pytest.raises(ValueError, match="importance does not match"):
        _engine.fit_step(*scene(), planes(*GOOD), planes(*shape), WEIGHTS, (1, 0, 0), _engine.StepScratch(), "", 1)


@pytest.mark.parametrize(
    ("subset", "ssim"), [((3, 0, 0), 0.0), ((2, 2, 0), 0.0), ((2, 0, -1), 0.0), ((0, 0, 0), 0.0), ((2, 0, 0), 0.2)]
)
def test_a_subset_that_is_none_is_refused(subset: tuple[int, int, int], ssim: float) -> None:
    weights = np.array([1.0, 0.0, 0.0, ssim], np.float32)
    with pytest.raises(ValueError, match="no such subset"):
        _engine.fit_step(*scene(), planes(*GOOD), None, weights, subset, _engine.StepScratch(), "", 1)


def test_weights_of_other_terms_are_refused() -> None:
    for n in (0, 3, 5):
        terms = np.ones(n, np.float32)
        with pytest.raises(ValueError, match="the loss has other terms"):
            _engine.loss(planes(*GOOD), planes(*GOOD), None, terms, "", 1)
        with pytest.raises(ValueError, match="the loss has other terms"):
            _engine.fit_step(*scene(), planes(*GOOD), None, terms, (1, 0, 0), _engine.StepScratch(), "", 1)


def coded_lattice() -> "_engine.CodedLattice":
    counts = np.full(4, 4096, np.uint16)
    return _engine.CodedLattice(
        1, 0, np.full(12, 255, np.uint8), counts, np.arange(1, 5, dtype=np.int32), np.zeros(4, np.int32)
    )


@pytest.mark.parametrize("shape", [(0, 0, 0), (1, 21, 0), (1, 0, 31), (1, 0, -2), (2, 0, 0), (2**40, 0, 0)])
def test_pages_of_an_impossible_shape_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="pages do not match"):
        _engine.encode_pages(coded_lattice(), np.zeros((1, 7), np.int32), np.array([shape], np.int64))
    if shape != (2, 0, 0):  # rows that are missing; a decoder makes them
        with pytest.raises(ValueError, match="pages do not match"):
            _engine.decode_pages(coded_lattice(), np.zeros(8, np.uint8), np.array([8]), np.array([shape], np.int64), 1)


def test_buffers_of_training_steps_go_with_the_rasterizer() -> None:
    engine = CpuRasterizer(1)
    gaussians, grid = synthetic_gaussians(HEIGHT, WIDTH, 20, CHANNELS), synthetic_grid(HEIGHT, WIDTH, CHANNELS)
    index = engine.bin(gaussians, grid)
    engine.fit_step(gaussians, grid, index, planes(*GOOD), LossWeights(l1=1.0))
    local = weakref.ref(engine._local)
    assert hasattr(engine._local, "scratch")
    del engine
    gc.collect()
    assert local() is None


def test_checksums_let_other_threads_run() -> None:
    """Another thread gets a turn between the begin and the end of a checksum, in one of many."""
    data, turns, stop = np.zeros(1 << 24, np.uint8), [0], threading.Event()

    def other() -> None:
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        sys.setswitchinterval(100)  # no thread is made to give up the lock: it is given up or it is not
        seen = 0
        for _ in range(500):
            before = turns[0]
            crc32c_runs(data, np.array([len(data)]))
            seen += turns[0] > before
            if seen:
                break
    finally:
        sys.setswitchinterval(0.005)
        stop.set()
        thread.join()
    assert seen
