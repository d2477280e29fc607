"""Grain of a picture that is painted on a device is that of the CPU."""

from typing import Any

import numpy as np
import pytest

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.cuda.runtime import Runtime
from gscodec.decoding import device_painting
from gscodec.decoding.image import open_igs
from gscodec.model.channels import AlphaMode, ChannelGroup, Role
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.grain import Grain
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.gpu import CudaRasterizer

GROUPS = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT), ChannelGroup("ao", Role.AO, 1))


@pytest.fixture(scope="module")
def data() -> bytes:
    rng = np.random.default_rng(8)
    n, size = 50, [70, 90]
    features = rng.uniform(0.2, 0.8, (n, 5)).astype(np.float32)
    gaussians = GaussianSet(rng.uniform(0, size, (n, 2)), rng.uniform(0.05, 0.4, (n, 2)), np.zeros(n), features)
    grid = Grid(90, 70, np.full(5, 0.5, np.float32), top_k=4)
    grain = (Grain(0, 6, 90, (20, 60, 90, 120, 90, 60, 40, 20)),)
    return pack(Contents(grid, GROUPS, LodTable.single(n), gaussians, grain=grain))


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"region": (5, 19, 40, 63), "dtype": np.float32},
        {"size": (140, 101)},
        {"size": (41, 33), "dtype": np.uint16},
        {"size": (7, 150)},
    ],
)
@pytest.mark.parametrize("work_bytes", [5000, 1 << 20])
def test_pictures_have_the_grain_of_the_cpu(
    device_runtime: Runtime, data: bytes, asked: dict[str, Any], work_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_painting, "work_bytes", lambda _: work_bytes)
    with (
        open_igs(data, device=CudaRasterizer(device_runtime)) as ours,
        open_igs(data, device=CpuRasterizer(1)) as theirs,
        open_igs(data, device=CpuRasterizer(1), grain=False) as plain,
    ):
        found, expected, without = (image.render(**asked) for image in (ours, theirs, plain))
        there = device_runtime.download(ours.render_device(**asked))
    top = 1.0 if expected.dtype.kind == "f" else float(np.iinfo(expected.dtype).max)
    np.testing.assert_allclose(found / top, expected / top, atol=1.01 / 255)
    assert np.array_equal(there, found)
    assert (found / top - without / top)[..., :3].std() > 0.02
    np.testing.assert_allclose(found[..., 3:] / top, without[..., 3:] / top, atol=1.01 / 255)


def test_points_have_the_grain_of_their_pixels(device_runtime: Runtime, data: bytes) -> None:
    rows, columns = np.mgrid[3:20, 5:30]
    points = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    with IgsReader(data) as reader:
        assert reader.grain
    with open_igs(data, device=CudaRasterizer(device_runtime)) as image:
        whole = image.render(dtype=np.float32)
        out = device_runtime.xp.empty((len(points), 5), np.float32)
        image.sample(points, out=out)
        np.testing.assert_allclose(device_runtime.download(out), whole[rows, columns].reshape(-1, 5), atol=1e-5)
        np.testing.assert_allclose(image.sample(points), whole[rows, columns].reshape(-1, 5), atol=1e-5)
