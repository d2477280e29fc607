"""Files opened on a device: unpacked and kept there, with the CPU's picture."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.cuda.runtime import Runtime
from gscodec.decoding import image as decoder
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.errors import BackendUnavailable, InvalidArgument
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.limits import Limits
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.gpu import CudaRasterizer

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
FILES = sorted(VECTORS.glob("*.igs"))


@pytest.fixture
def on_device(device_runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """`open_igs` opens on the runtime's device, whatever is asked for."""
    monkeypatch.setattr(decoder, "get_backend", lambda *_: CudaRasterizer(device_runtime))
    monkeypatch.setattr(decoder, "stays_on_cpu", lambda *_: False)
    return device_runtime


def open_on_cpu(path: Path) -> IgsImage:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "get_backend", lambda *_: CpuRasterizer(1))
        return open_igs(path)


@pytest.mark.usefixtures("on_device")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_level_is_the_cpu_s_picture(path: Path) -> None:
    with open_igs(path) as ours, open_on_cpu(path) as theirs:
        assert ours.available_lods == theirs.available_lods
        for lod in ours.available_lods:
            picture, expected = ours.render(lod), theirs.render(lod)
            assert picture.dtype == expected.dtype
            assert picture.shape == expected.shape
            difference = np.abs(picture.astype(np.float64) - expected)
            assert difference.max(initial=0) <= (1 if expected.dtype == np.uint8 else 3)


@pytest.mark.usefixtures("on_device")
def test_regions_sizes_and_points_agree_with_the_whole() -> None:
    with open_igs(VECTORS / "rgb.igs") as image:
        height, width, _ = image.shape
        assert min(height, width) >= 12
        part = image.render(region=(3, 2, 8, 7), dtype=np.float32)
        whole = image.render(dtype=np.float32)
        assert np.array_equal(part, whole[2:9, 3:11])
        assert np.array_equal(image.render(region=(3, 2, 8, 7), dtype=np.float32), part)
        assert image.render(size=(2 * height, 2 * width)).shape == (2 * height, 2 * width, 3)
        small = image.render(size=(height // 2, width // 2), dtype=np.float32)
        assert small.mean() == pytest.approx(whole.mean(), abs=0.02)
    with open_igs(VECTORS / "rgb.igs") as image:
        values = image.sample([[3.5, 2.5], [10.5, 8.5]])
        assert np.array_equal(values, whole[[2, 8], [3, 10]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_picture_stays_on_the_device_until_it_is_asked_for(on_device: Runtime, dtype: type[np.generic]) -> None:
    with open_igs(VECTORS / "rgb.igs") as image:
        picture = image.render_device(lod=1, dtype=dtype)
        assert isinstance(picture, on_device.xp.ndarray)
        assert picture.shape == image.shape
        assert np.array_equal(on_device.download(picture), image.render(lod=1, dtype=dtype))
        assert hasattr(picture, "__dlpack__")


@pytest.mark.usefixtures("on_device")
def test_render_device_gives_the_file_s_own_type_where_there_is_one() -> None:
    for name, dtype in (("rgb", np.uint8), ("stack", np.float32)):
        with open_igs(VECTORS / f"{name}.igs") as image:
            assert image.render_device().dtype == image.render().dtype == dtype
            assert image.render_device(dtype=np.uint8).dtype == np.uint8
            with pytest.raises(InvalidArgument, match="LOD 99"):
                image.render_device(lod=99)


def test_a_file_on_the_cpu_has_no_device_picture() -> None:
    refused = pytest.raises(BackendUnavailable, match="is open on cpu; open it with device='cuda'")
    with open_igs(VECTORS / "rgb.igs", device="cpu") as image, refused:
        image.render_device()


class Bus:
    """Bytes that cross between host and device."""

    def __init__(self, runtime: Runtime, patch: pytest.MonkeyPatch) -> None:
        self.down: list[int] = []
        self.up: list[int] = []
        download, upload, staging = runtime.download, runtime.upload, runtime.staging

        def downloading(array: Any) -> Any:
            self.down.append(array.nbytes)
            return download(array)

        def uploading(array: Any) -> Any:
            self.up.append(array.nbytes)
            return upload(array)

        def sending(n_bytes: int) -> Any:
            made = staging(n_bytes)
            send = made.send

            def sent(array: Any) -> None:
                self.down.append(array.nbytes)
                send(array)

            object.__setattr__(made, "send", sent)
            return made

        patch.setattr(runtime, "download", downloading)
        patch.setattr(runtime, "upload", uploading)
        patch.setattr(runtime, "staging", sending)

    def clear(self) -> None:
        self.down.clear()
        self.up.clear()


@pytest.fixture
def bus(on_device: Runtime, monkeypatch: pytest.MonkeyPatch) -> Bus:
    return Bus(on_device, monkeypatch)


REQUESTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "region": {"region": (3, 2, 9, 8)},
    "larger": {"size": (31, 50)},
    "smaller": {"size": (7, 5)},
    "narrower": {"size": (20, 5)},
    "level": {"lod": 1},
    "uint16": {"dtype": np.uint16, "size": (5, 5), "region": (0, 1, 11, 13)},
    "float32": {"dtype": np.float32, "size": (9, 30), "lod": 0},
}


@pytest.mark.parametrize("name", ["rgb", "stack", "coded_rgb"])
@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_only_the_result_crosses_the_bus(bus: Bus, name: str, asked: dict[str, Any]) -> None:
    with open_igs(VECTORS / f"{name}.igs") as image, open_on_cpu(VECTORS / f"{name}.igs") as theirs:
        image.render(lod=0, dtype=np.float32)
        image.render(lod=asked.get("lod", 0), dtype=np.float32)
        bus.clear()
        ours, expected = image.render(**asked), theirs.render(**asked)
        assert bus.down == [ours.nbytes]
        assert sum(bus.up) < 1000, "more than an average's rules"
        assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape)
        scale = 1 if expected.dtype.kind == "f" else np.iinfo(expected.dtype).max
        np.testing.assert_allclose(ours / scale, expected / scale, rtol=1e-3, atol=1.01 / 255 if scale == 255 else 1e-4)


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_results_stay_in_the_device_s_memory(on_device: Runtime, bus: Bus, asked: dict[str, Any]) -> None:
    with open_igs(VECTORS / "rgb.igs") as image:
        expected = image.render(**asked)
        bus.clear()
        with on_device:
            there = on_device.xp.empty(expected.shape, expected.dtype)
        assert image.render(**asked, out=there) is there
        again = image.render_device(**asked)
        assert isinstance(again, on_device.xp.ndarray)
        assert not bus.down
        assert np.array_equal(on_device.download(there), expected)
        assert np.array_equal(on_device.download(again), expected)
        here = np.empty_like(expected)
        assert image.render(**asked, out=here) is here
        assert np.array_equal(here, expected)


def test_points_stay_too(on_device: Runtime, bus: Bus) -> None:
    with open_igs(VECTORS / "stack.igs") as image:
        height, width, n_channels = image.shape
        points = np.random.default_rng(2).uniform(0, [width, height], (50, 2))
        image.render(lod=0, dtype=np.float32)  # all of it is there now
        expected = image.sample(points)
        bus.clear()
        with on_device:
            there = on_device.xp.empty((50, n_channels), np.float32)
        assert image.sample(points, out=there) is there
        assert bus.down == []
        assert bus.up == [points.nbytes]
        assert np.array_equal(on_device.download(there), expected)
        here = np.empty((50, n_channels), np.float32)
        assert image.sample(points, out=here) is here
        assert np.array_equal(here, expected)
        assert image.sample(np.empty((0, 2)), out=there[:0]).shape == (0, n_channels)


def test_scattered_points_of_a_large_picture(on_device: Runtime) -> None:
    """Read tile by tile, and written where they belong."""
    rng = np.random.default_rng(4)
    n = 60
    gaussians = GaussianSet(
        rng.uniform(0, 8000, (n, 2)), np.full((n, 2), 0.01), np.zeros(n), rng.random((n, 2), np.float32)
    )
    group = ChannelGroup("height", n_channels=2)
    contents = Contents(Grid(8000, 8000, np.zeros(2, np.float32)), (group,), LodTable.single(n), gaussians, page_size=8)
    points = np.concatenate([rng.uniform(0, 8000, (9, 2)), [[5, 5], [5.5, 5.5], [7999, 1]]])
    with open_igs(pack(contents)) as image:
        expected = image.sample(points)
        with on_device:
            there = on_device.xp.empty(expected.shape, np.float32)
        image.sample(points, out=there)
        assert np.array_equal(on_device.download(there), expected)


def test_other_libraries_arrays_are_taken(on_device: Runtime) -> None:
    """A tensor of torch: on the shim one of the CPU stands for one of the GPU."""
    torch = pytest.importorskip("torch")
    device = "cpu" if on_device.name == "host" else "cuda"
    with open_igs(VECTORS / "rgb.igs") as image:
        expected = image.render(size=(7, 5))
        tensor = torch.zeros(expected.shape, dtype=torch.uint8, device=device)
        assert image.render(size=(7, 5), out=tensor) is tensor
        assert np.array_equal(tensor.cpu().numpy(), expected)


def test_an_out_that_does_not_fit_is_one_line(on_device: Runtime) -> None:
    xp = on_device.xp
    with open_igs(VECTORS / "rgb.igs") as image, on_device:
        name, shape = image.name, image.shape
        wrong: list[tuple[Any, str]] = [
            (xp.empty(shape, np.float32), f"out is float32 {shape}, the result uint8 {shape}"),
            (xp.empty((2, 3, 3), np.uint8), f"out is uint8 (2, 3, 3), the result uint8 {shape}"),
            (xp.empty((*shape[:2], 6), np.uint8)[:, :, ::2], f"out {shape} is not contiguous or not writable"),
            (np.empty(shape, np.float32), f"out is float32 {shape}, the result uint8 {shape}"),
            (np.empty((*shape[:2], 6), np.uint8)[:, :, ::2], f"out {shape} is not contiguous or not writable"),
            (np.broadcast_to(np.uint8(0), shape), f"out {shape} is not contiguous or not writable"),
            ([1, 2], "out is of type list, not a NumPy array, or one on a GPU"),
        ]
        for out, text in wrong:
            with pytest.raises(InvalidArgument) as caught:
                image.render(out=out)
            assert str(caught.value) == f"{name}: {text}"
        with pytest.raises(InvalidArgument, match=r"the result float32 \(1, 3\)"):
            image.sample([[1, 1]], out=np.empty((1, 4), np.float32))


def test_an_out_on_a_gpu_needs_a_file_that_is_open_there() -> None:
    class Elsewhere:
        __cuda_array_interface__: ClassVar = {"data": (0, False)}

    class Tensor:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    with open_igs(VECTORS / "rgb.igs", device="cpu") as image:
        for out in (Elsewhere(), Tensor()):
            with pytest.raises(BackendUnavailable, match="out lies on a GPU, the file is open on the CPU; use device="):
                image.render(out=out)
        here = np.empty(image.shape, np.uint8)
        assert image.render(out=here) is here
        assert np.array_equal(here, image.render())
        values = np.empty((1, 3), np.float32)
        assert np.array_equal(image.sample([[3, 3]], out=values), image.sample([[3, 3]]))


@pytest.mark.parametrize("depth", [5, 12])
def test_odd_depths_are_made_on_the_device(on_device: Runtime, depth: int) -> None:
    rng = np.random.default_rng(6)
    gaussians = GaussianSet(
        rng.uniform(0, 20, (9, 2)), np.full((9, 2), 0.3), np.zeros(9), rng.random((9, 1), np.float32)
    )
    group = ChannelGroup("height", n_channels=1, bit_depth=depth)
    contents = Contents(Grid(20, 20, np.zeros(1, np.float32)), (group,), LodTable.single(9), gaussians)
    with open_igs(pack(contents)) as image:
        levels = set(np.unique(on_device.download(image.render_device()))) | set(np.unique(image.render(size=(9, 9))))
        top = 255 if depth <= 8 else 65535
        assert levels <= {round(v * top / (2**depth - 1)) for v in range(2**depth)}
        assert len(levels) > 3
        assert image.render_device(dtype=np.uint16).dtype == np.uint16


def test_memory_of_the_host_does_not_limit_what_stays_on_the_device(on_device: Runtime) -> None:
    data = (VECTORS / "rgb.igs").read_bytes()
    with open_igs(data) as image:
        height, width, _ = image.shape
    size = 12 * height, 12 * width
    limits = Limits(max_memory=12 * size[0] * size[1] * 3 - 1)
    with open_igs(data, limits=limits) as image:
        with pytest.raises(InvalidArgument, match=r"above the limit of .*Limits.max_memory"):
            image.render(size=size)
        assert image.render_device(size=size).shape == (*size, 3)
        with on_device:
            there = on_device.xp.empty((*size, 3), np.uint8)
        assert image.render(size=size, out=there) is there
