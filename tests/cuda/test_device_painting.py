"""Requests painted on a device in whatever memory there is: never other bits than with plenty."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from host_runtime import HostRuntime

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.cuda import transfer
from gscodec.cuda.runtime import Runtime
from gscodec.cuda.scenes import bin_scene, device_gaussians, render_rows, render_window
from gscodec.decoding import automatic, device_painting, store
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.decoding.load_scene import load_scene
from gscodec.errors import BackendUnavailable, DeviceFallback, LimitExceeded, OutOfDeviceMemory
from gscodec.model.channels import AlphaMode, ChannelGroup, SampleType
from gscodec.model.gaussians import GaussianSet, Grid, LodTable, Window
from gscodec.model.rendering import TooManyPairs
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.gpu import CudaRasterizer

COLOUR = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)
DEEP = (ChannelGroup("color", n_channels=3, bit_depth=10),)
FLOATS = (ChannelGroup("height", n_channels=2, bit_depth=32, sample_type=SampleType.FLOAT),)


def build(groups: tuple[ChannelGroup, ...] = COLOUR, height: int = 90, width: int = 70, n: int = 60) -> bytes:
    rng = np.random.default_rng(8)
    n_channels = sum(group.n_channels for group in groups)
    gaussians = GaussianSet(
        rng.uniform(0, [width, height], (n, 2)),
        rng.uniform(0.05, 0.4, (n, 2)),
        rng.uniform(0, np.pi, n),
        rng.uniform(-0.1, 1.1, (n, n_channels)).astype(np.float32),
    )
    grid = Grid(height, width, np.linspace(0.1, 0.9, n_channels, dtype=np.float32), top_k=4)
    return pack(Contents(grid, groups, LodTable((n // 3, n), ((0.6,), (0.8, 1.0))), gaussians, page_size=8))


def open_on(runtime: Runtime, data: bytes) -> IgsImage:
    return open_igs(data, device=CudaRasterizer(runtime))


REQUESTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "region": {"region": (5, 19, 40, 63), "dtype": np.float32},
    "larger": {"size": (140, 101)},
    "smaller": {"size": (41, 33)},
    "flat": {"size": (7, 150), "lod": 0},
    "thumbnail": {"size": (4, 4)},
}


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Strips of a few rows, to the host and on the way."""
    with monkeypatch.context() as patch:
        patch.setattr(device_painting, "work_bytes", lambda _: 5000)
        patch.setattr(transfer, "LARGE_BYTES", 0)
        patch.setattr(transfer, "STRIP_BYTES", 3000)
        patch.setattr(transfer.row_strips, "__defaults__", (3000, 1))
        yield


@pytest.fixture
def thumbnails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow thumbnails of small pictures too."""
    monkeypatch.setattr(automatic, "EXACT_PIXELS", 1000)


@pytest.fixture
def plenty(device_runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What every request gives where there is memory; of small pictures, thumbnails as well."""
    monkeypatch.setattr(automatic, "EXACT_PIXELS", 1000)
    with open_on(device_runtime, build()) as image:
        return {name: image.render(**asked) for name, asked in REQUESTS.items()}


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("name", REQUESTS)
def test_strips_do_not_show(device_runtime: Runtime, plenty: dict[str, Any], name: str) -> None:
    with open_on(device_runtime, build()) as image:
        assert np.array_equal(image.render(**REQUESTS[name]), plenty[name])
        if name != "thumbnail":
            there = device_runtime.download(image.render_device(**REQUESTS[name]))
            assert np.array_equal(there, plenty[name])


@pytest.mark.usefixtures("thumbnails")
@pytest.mark.parametrize("groups", [COLOUR, DEEP, FLOATS], ids=["colour", "deep", "floats"])
@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_pictures_are_the_cpu_s(
    device_runtime: Runtime, groups: tuple[ChannelGroup, ...], asked: dict[str, Any]
) -> None:
    data = build(groups)
    with open_on(device_runtime, data) as ours, open_igs(data, device=CpuRasterizer(1)) as theirs:
        found, expected = ours.render(**asked), theirs.render(**asked)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        kind = expected.dtype
        scale = 1 if kind.kind == "f" else np.iinfo(kind).max
        step = {"f": 1e-4, "u": 1.01 / 255 if kind == np.uint8 else 1.01 / 1023}[kind.kind]
        np.testing.assert_allclose(found / scale, expected / scale, rtol=1e-3, atol=step)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("groups", [COLOUR, DEEP, FLOATS], ids=["colour", "deep", "floats"])
def test_strips_are_the_whole(device_runtime: Runtime, groups: tuple[ChannelGroup, ...]) -> None:
    with open_on(device_runtime, build(groups)) as image:
        for asked in (REQUESTS["region"], REQUESTS["smaller"]):
            strips = list(image.strips(lod=0, **asked))
            assert len(strips) > 2
            rows = [first for first, _ in strips]
            assert rows == [0, *np.cumsum([len(part) for _, part in strips])[:-1]]
            assert np.array_equal(np.concatenate([part for _, part in strips]), image.render(0, **asked))


@pytest.mark.parametrize("name", [name for name in REQUESTS if name != "thumbnail"])
def test_long_lists_are_loaded_in_bands(
    runtime: HostRuntime, plenty: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is free on the device decides how many tiles are loaded; no strip starts before its band is there."""
    monkeypatch.setattr(runtime, "memory", 420 * store.DEVICE_PAIR_SHARE)
    loaded = []

    def load(*arguments: Any) -> Any:
        loaded.append(arguments[3])
        return load_scene(*arguments)

    monkeypatch.setattr(store, "load_scene", load)
    with open_on(runtime, build()) as image:
        assert np.array_equal(image.render(**REQUESTS[name]), plenty[name])
        assert len(loaded) > 2
        points = np.random.default_rng(1).uniform(0, [70, 90], (40, 2))
        out = runtime.xp.empty((40, 4), np.float32)
        image.sample(points, out=out)
        sampled = runtime.download(out)
        assert np.array_equal(image.sample(points), sampled)
    monkeypatch.undo()
    with open_on(runtime, build()) as image:
        image.render()
        assert np.array_equal(image.sample(points), sampled)


def test_a_tile_that_does_not_fit_is_refused(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "memory", 2 * store.DEVICE_PAIR_SHARE)
    with open_on(runtime, build()) as image:
        there = runtime.xp.empty(image.shape, np.uint8)
        for ask in (image.render, lambda: image.render(out=there), lambda: list(image.strips())):
            with pytest.raises(LimitExceeded, match=r"more than 2 entries; .*, or free memory on device host"):
                ask()
        with pytest.raises(LimitExceeded, match=r"more than 2 entries; .*, or free memory on device host"):
            image.sample([[35, 45]], out=runtime.xp.empty((1, 4), np.float32))


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("fault", [BackendUnavailable("the GPU stopped"), OutOfDeviceMemory("none is left")])
def test_strips_go_on_with_the_cpu(runtime: HostRuntime, fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    data, send = build(), runtime.staging
    with open_igs(data, device=CpuRasterizer(1)) as image:
        expected = image.render()
    made = 0

    def staging(n_bytes: int) -> Any:
        nonlocal made
        made += 1
        staging = send(n_bytes)
        if made == 2:
            monkeypatch.setattr(staging, "receive", fail)
        return staging

    def fail() -> None:
        raise fault

    monkeypatch.setattr(runtime, "staging", staging)
    with open_on(runtime, data) as image:
        with pytest.raises(type(fault), match=str(fault)):
            list(image.strips())
        made, image._store._spare = 0, lambda: CpuRasterizer(1)
        with pytest.warns(DeviceFallback, match="using the CPU"):
            strips = list(image.strips())
    assert [first for first, _ in strips] == [0, *np.cumsum([len(part) for _, part in strips])[:-1]]
    whole = np.concatenate([part for _, part in strips])
    assert np.abs(whole.astype(int) - expected).max() <= 1


def test_rows_far_down_a_huge_grid(device_runtime: Runtime) -> None:
    """Rows of a window of 2^20 x 40 points, of which only these are computed, are those of a small window there."""
    rng = np.random.default_rng(3)
    height, width, n = 1 << 20, 40, 30
    grid = Grid(height, width, np.zeros(3, np.float32))
    top = height - 96
    runtime = device_runtime
    with runtime:
        shown = device_gaussians(
            runtime,
            runtime.upload(rng.uniform([0, top], [width, height], (n, 2))),
            runtime.upload(rng.uniform(0.05, 0.4, (n, 2))),
            runtime.upload(rng.uniform(0, np.pi, n)),
            runtime.upload(rng.random((n, 3), np.float32)),
        )
        scene = bin_scene(runtime, shown, grid, (0, top // 16, 3, height // 16))
        rows, there = (height - 39, height), runtime.xp.empty((39, width, 3), np.float32)
        render_rows(runtime, scene, Window.whole(grid), rows, there)
        expected = runtime.xp.empty((39, width, 3), np.float32)
        render_window(runtime, scene, Window(0, height - 39, 39, width), expected)
        assert np.array_equal(runtime.download(there), runtime.download(expected))
        assert runtime.download(there).std() > 0.05
        part = scene.around(Window.whole(grid), rows)
        assert part.lists.tiles == (0, height // 16 - 3, 3, height // 16)
        assert scene.around(Window.whole(grid), (top, height)) is scene


def test_what_strips_may_take() -> None:
    assert device_painting.work_bytes(80 << 30) == 1 << 28
    assert device_painting.work_bytes(1 << 30) == 1 << 27
    assert device_painting.work_bytes(0) == 1 << 22


def test_too_many_pairs_is_what_is_raised(runtime: HostRuntime) -> None:
    with open_on(runtime, build()) as image, pytest.raises(TooManyPairs):
        load_scene(image._reader, image._store.backend, 0, (0, 0, 5, 6), None, 3)


def test_a_level_stays_once_a_second_part_is_asked_for(
    device_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Panning over a picture loads it once; of a large file only what is asked for."""
    loaded: list[Any] = []

    def load(*arguments: Any) -> Any:
        loaded.append(arguments[3])
        return load_scene(*arguments)

    monkeypatch.setattr(store, "load_scene", load)
    parts = [(0, 0, 20, 20), (40, 60, 20, 20), (10, 10, 50, 50), (0, 0, 20, 20)]
    with open_on(device_runtime, build()) as image:
        shown = [image.render(region=part) for part in parts]
        whole = image.render()
        assert loaded == [(0, 0, 2, 2), (0, 0, 5, 6)]
    for (x, y, width, height), seen in zip(parts, shown, strict=True):
        assert np.array_equal(seen, whole[y : y + height, x : x + width])
    loaded.clear()
    monkeypatch.setattr(store, "STAYING_BYTES", 100)
    with open_on(device_runtime, build()) as image:
        for part in parts:
            image.render(region=part)
    assert loaded == [(0, 0, 2, 2), (2, 3, 4, 5), (0, 0, 4, 4)]


def test_a_level_that_does_not_fit_is_tried_once(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "memory", 420 * store.DEVICE_PAIR_SHARE)
    loaded: list[Any] = []

    def load(*arguments: Any) -> Any:
        loaded.append(arguments[3])
        return load_scene(*arguments)

    monkeypatch.setattr(store, "load_scene", load)
    with open_on(runtime, build()) as image:
        for x in (0, 32, 48, 0):
            image.render(region=(x, 0, 16, 16))
    assert loaded == [(0, 0, 1, 1), (0, 0, 5, 6), (2, 0, 3, 1), (3, 0, 4, 1), (0, 0, 1, 1)]
