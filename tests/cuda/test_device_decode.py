"""Files opened on a device: unpacked and kept there, with the CPU's picture."""

from pathlib import Path

import numpy as np
import pytest

from gscodec.cuda.runtime import Runtime
from gscodec.decode import IgsImage, decoder, open_igs
from gscodec.errors import BackendUnavailable, InvalidArgument
from gscodec.format import ChannelGroup, Contents, pack
from gscodec.gaussians import GaussianSet, Grid, LodTable
from gscodec.raster.cpu import CpuRasterizer
from gscodec.raster.cuda import CudaRasterizer

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
FILES = sorted(GOLDEN.glob("*.igs"))


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
    with open_igs(GOLDEN / "rgb.igs") as image:
        height, width, _ = image.shape
        assert min(height, width) >= 12
        part = image.render(region=(3, 2, 8, 7), dtype=np.float32)
        whole = image.render(dtype=np.float32)
        assert np.array_equal(part, whole[2:9, 3:11])
        assert np.array_equal(image.render(region=(3, 2, 8, 7), dtype=np.float32), part)
        assert image.render(size=(2 * height, 2 * width)).shape == (2 * height, 2 * width, 3)
        small = image.render(size=(height // 2, width // 2), dtype=np.float32)
        assert small.mean() == pytest.approx(whole.mean(), abs=0.02)
    with open_igs(GOLDEN / "rgb.igs") as image:
        values = image.sample([[3.5, 2.5], [10.5, 8.5]])
        assert np.array_equal(values, whole[[2, 8], [3, 10]])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_picture_stays_on_the_device_until_it_is_asked_for(on_device: Runtime, dtype: type[np.generic]) -> None:
    with open_igs(GOLDEN / "rgb.igs") as image:
        picture = image.render_device(lod=1, dtype=dtype)
        assert isinstance(picture, on_device.xp.ndarray)
        assert picture.shape == image.shape
        assert np.array_equal(on_device.download(picture), image.render(lod=1, dtype=dtype))
        assert hasattr(picture, "__dlpack__")


@pytest.mark.usefixtures("on_device")
def test_render_device_gives_the_file_s_own_type_where_there_is_one() -> None:
    for name, dtype in (("rgb", np.uint8), ("stack", np.float32)):
        with open_igs(GOLDEN / f"{name}.igs") as image:
            assert image.render_device().dtype == image.render().dtype == dtype
            if dtype == np.float32:
                with pytest.raises(InvalidArgument, match="as float32 only"):
                    image.render_device(dtype=np.uint8)
            with pytest.raises(InvalidArgument, match="LOD 99"):
                image.render_device(lod=99)
    gaussians = GaussianSet(np.ones((1, 2)), np.ones((1, 2)), np.zeros(1), np.ones((1, 1), np.float32))
    deep = ChannelGroup("color", n_channels=1, bit_depth=12)
    contents = Contents(Grid(4, 4, np.zeros(1, np.float32)), (deep,), LodTable.single(1), gaussians)
    with open_igs(pack(contents)) as image:
        with pytest.raises(InvalidArgument, match="name uint8, uint16 or float32"):
            image.render_device()
        assert image.render_device(dtype=np.uint16).shape == (4, 4, 1)


def test_a_file_on_the_cpu_has_no_device_picture() -> None:
    refused = pytest.raises(BackendUnavailable, match="is open on cpu; open it with device='cuda'")
    with open_igs(GOLDEN / "rgb.igs", device="cpu") as image, refused:
        image.render_device()
