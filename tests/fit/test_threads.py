from typing import Any

import numpy as np
import pytest
import torch

from gscodec import _engine
from gscodec.encoding.api import encode
from gscodec.fit.loop import StepReport, fit
from gscodec.fit.presets import get_preset
from gscodec.fit.threads import one_torch_thread
from gscodec.model.gaussians import Grid
from gscodec.render.cpu import CpuRasterizer


def test_torch_has_its_threads_back_even_after_a_fault() -> None:
    before = torch.get_num_threads()

    @one_torch_thread()
    def fail() -> None:
        raise KeyError(torch.get_num_threads())

    with pytest.raises(KeyError, match="1"):
        fail()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("n", [1, 2])
def test_every_step_of_an_encode_keeps_to_the_threads_given(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    step = _engine.adam_step

    def look(*arguments: Any) -> None:
        seen.append(arguments[-1])
        step(*arguments)

    monkeypatch.setattr(_engine, "adam_step", look)
    picture = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    encode(picture, gaussians=16, preset="fast", steps=10, threads=n)  # a fit, then QAT
    assert len(seen) > 10
    assert set(seen) == {n}


def test_a_fit_keeps_torch_on_one_thread() -> None:
    seen = []

    def look(_: StepReport) -> None:
        seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    target = np.random.default_rng(0).random((24, 24, 1), np.float32)
    grid = Grid(24, 24, np.full(1, 0.5, np.float32))
    fit(target, 4, get_preset("fast"), rasterizer=CpuRasterizer(), grid=grid, steps=3, on_step=look)
    assert seen
    assert set(seen) == {1}
    assert torch.get_num_threads() == before
