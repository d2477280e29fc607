from typing import Any

import numpy as np
import pytest

from gscodec import _engine
from gscodec.encoding.api import encode


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
