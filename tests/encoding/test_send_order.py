"""Pages lie in the order in which they serve the picture of a file that is still arriving."""

from dataclasses import replace

import numpy as np
from random_contents import random_contents

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import coarser_set, with_coarser
from gscodec.container.writer import pack
from gscodec.encoding.send_order import best_order, in_send_order, waiting
from gscodec.model.gaussians import GaussianSet
from gscodec.render.engines import cpu_backend


def mixed(size: tuple[int, int], n: int, counts: tuple[int, ...], seed: int) -> bytes:
    """A file of narrow Gaussians in small pages, flat but for its lower right quarter."""
    contents = random_contents(n, 3, size, counts, seed, page_size=8)
    rng, means = np.random.default_rng(seed), contents.gaussians.means
    busy = (means[:, 0] > size[1] / 2) & (means[:, 1] > size[0] / 2)
    features = np.where(busy[:, None], rng.uniform(0, 1, (n, 3)), 0.5).astype(np.float32)
    narrow = GaussianSet(means, rng.uniform(0.5, 2.0, (n, 2)), contents.gaussians.rotations, features)
    return pack(replace(contents, gaussians=narrow))


def error(data: bytes, share: float) -> float:
    """Mean square error of what a part of a file shows."""
    with gscodec.open(data, device="cpu") as whole:
        start, picture = IgsReader(data).data_offset, whole.render(dtype=np.float32)
    with gscodec.open(data[: start + round(share * (len(data) - start))], device="cpu") as cut:
        return float(np.square(cut.render(available=True, dtype=np.float32) - picture).mean())


def test_what_changes_most_comes_first() -> None:
    data = with_coarser(mixed((256, 256), 1200, (400, 1200), 3), [coarser_set(mixed((64, 64), 40, (40,), 4), 2)])
    found = in_send_order(data, cpu_backend(1))
    assert found != data
    with gscodec.open(data, device="cpu") as before, gscodec.open(found, device="cpu") as after:
        np.testing.assert_allclose(before.render(dtype=np.float32), after.render(dtype=np.float32), rtol=0, atol=1e-5)
    shares = (0.1, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8)
    assert sum(error(found, share) for share in shares) < 0.85 * sum(error(data, share) for share in shares)
    assert in_send_order(found, cpu_backend(1), len(found) - 1) == found
    assert in_send_order(data, cpu_backend(1), len(data) - 1) == data


def test_files_of_few_pages_stay_as_they_are() -> None:
    few = pack(random_contents(200, 3, (60, 60), (200,)))
    assert in_send_order(few, cpu_backend(1)) == few
    assert in_send_order(pack(random_contents(0, 3, (60, 60), (0,))), cpu_backend(1)) != b""


def test_a_cell_waits_for_the_last_run_that_meets_it() -> None:
    masks = np.array([[[True, False, False]], [[False, True, False]], [[True, False, True]]])
    gains, sizes = np.array([[1.0, 8.0, 2.0]]), np.array([10.0, 20.0, 30.0])
    assert waiting(gains, masks, sizes, [0, 1, 2]) == (1 * 60 + 8 * 30 + 2 * 60) / 11
    assert best_order(gains, masks, sizes) == [1, 0, 2]
    assert best_order(np.zeros((1, 3)), masks, sizes) == [0, 1, 2]
