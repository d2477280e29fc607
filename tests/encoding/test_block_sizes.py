"""How many Gaussians and steps each block gets."""

import numpy as np
import pytest

from gscodec.encoding.api import encode
from gscodec.encoding.block_sizes import Counts
from gscodec.encoding.pace import LEAST_STEPS, Pace
from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import Float32Array


def test_a_number_that_was_asked_for_is_met_whatever_blocks_give_back() -> None:
    rng = np.random.default_rng(0)
    counts = Counts(rng.random(20).tolist(), 4, 5000, None, 0, 0.0)
    done = 0
    for block in range(20):
        n = counts.of(block, done)
        done += n if block == 19 else round(n * rng.uniform(0.9, 1.1))
    assert done == 5000


def test_counts_follow_the_bytes_that_were_measured() -> None:
    counts = Counts([1.0] * 16, 1, None, 16_000, 400, 30.0)
    done = 0
    for block in range(16):
        if counts.wants_size(block):
            counts.measured(done, 400 + done * 5)  # 40 bits, where 30 were expected
        done += counts.of(block, done)
    assert 0.97 * 16_000 <= 400 + done * 5 <= 16_000


def test_steps_follow_the_time_that_is_left() -> None:
    now = [0.0]
    pace = Pace(100.0, 0.0, clock=lambda: now[0])
    assert pace.is_blind
    pace.took(10, 1000, 1.0)  # 0.1 s a step
    assert 70 < pace.steps(10_000, 1000, 10_000, 0.2) < 90, "a tenth of the time, a sixth of it for other steps"
    now[0] = 99.9
    assert pace.steps(10_000, 1000, 10_000, 0.2) == LEAST_STEPS
    assert Pace(None, 0.0).steps(123, 1, 1, 0.0) == 123


def test_blocks_have_sides_that_cells_divide(picture: Float32Array) -> None:
    with pytest.raises(InvalidArgument, match="multiple of 64"):
        encode(picture, gaussians=10, block=100)
