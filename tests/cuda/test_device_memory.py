"""What a GPU's memory allows: estimates, refusals in one line, and large pictures fitted as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host_runtime import HostRuntime

from gscodec.cuda.binning import MAX_TILES, TileLists
from gscodec.cuda.estimates import check_room, fit_bytes
from gscodec.decoding.image import open_igs
from gscodec.encoding import api as encoder
from gscodec.encoding.api import encode
from gscodec.errors import LimitExceeded, OutOfDeviceMemory
from gscodec.image.regions import RegionSource
from gscodec.model.channels import ChannelGroup
from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.limits import Limits
from gscodec.render.gpu import CudaRasterizer


@pytest.fixture
def on_device(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> HostRuntime:
    """`encode` on the shim, whatever GPU is named, and large pictures begin at 1000 px."""
    monkeypatch.setattr(encoder, "get_backend", lambda *_: CudaRasterizer(runtime))
    monkeypatch.setattr("gscodec.encoding.sources.LARGE_PIXELS", 1000)
    return runtime


def picture(height: int = 40, width: int = 48) -> np.ndarray[Any, np.dtype[np.uint8]]:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([4 * x, 5 * y, 255 - 2 * x - y], axis=2).astype(np.uint8)


class Parts(RegionSource):
    """A picture that is read in parts."""

    def __init__(self, levels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        super().__init__((*levels.shape[:2], 3), (ChannelGroup("color", n_channels=3),), None)
        self._levels = levels
        self.closed = False

    def levels(self, area: Any) -> Any:
        return self._levels[area.slices()]

    def close(self) -> None:
        self.closed = True


def test_a_fit_takes_what_its_planes_and_lists_take() -> None:
    shape, pixels = (2048, 2048, 3), 1 << 22
    plain, ssim = (fit_bytes(shape, 10_000, compares_neighbours=ssim) for ssim in (False, True))
    assert ssim - plain == (12 + 12) * pixels, "the picture, and what the gradient need not find again"
    odd = [fit_bytes((2047, 2033, 1), 10, compares_neighbours=ssim) for ssim in (False, True)]
    assert odd[1] - odd[0] == 4 * 2047 * 2033 + 12 * pixels, "whole tiles of it"
    assert 85 * pixels < ssim < 110 * pixels
    more = fit_bytes(shape, 1_010_000, compares_neighbours=True)
    assert more - ssim == 1_000_000 * (48 * 8 + 200)
    assert fit_bytes((4096, 2048, 3), 10_000, compares_neighbours=True) == pytest.approx(2 * ssim, rel=0.02)
    huge = fit_bytes((1 << 20, 1 << 20, 1), 1, compares_neighbours=False)
    assert huge - (8 + 16 << 40) == MAX_TILE_PAIRS * 40 + 488


def test_what_does_not_fit_is_one_line(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "memory", 5_000)
    check_room(runtime, 5_000, "a fit", "use less")
    with pytest.raises(OutOfDeviceMemory) as caught:
        check_room(runtime, 12_345, "a fit of 3x4 px", "use less")
    assert str(caught.value) == "device host: a fit of 3x4 px takes about 12,345 bytes, 5,000 are free; use less"


@pytest.mark.usefixtures("on_device")
def test_a_large_picture_is_fitted_as_one_on_a_gpu_that_was_named() -> None:
    whole = encode(picture(), gaussians=60, preset="fast", steps=20, device="cuda")
    assert whole.device == "cuda"
    source = Parts(picture())
    parts = encode(source, gaussians=60, preset="fast", steps=20, device="cuda")
    assert parts.device == "cuda"
    assert not source.closed, "it is the caller's"
    with open_igs(whole.data, device="cpu") as first, open_igs(parts.data, device="cpu") as second:
        assert first.shape == second.shape == (40, 48, 3)
        assert np.array_equal(first.render(), second.render())


@pytest.mark.usefixtures("on_device")
def test_under_auto_it_is_encoded_in_blocks() -> None:
    assert encode(picture(), gaussians=60, preset="fast", steps=20, device="auto").device == "cpu"


@pytest.mark.usefixtures("on_device")
def test_a_picture_that_the_host_cannot_hold_is_refused() -> None:
    limits = Limits(max_memory=10_000)
    with pytest.raises(LimitExceeded, match="picture: 48x40 px, fitted as a whole, takes about 1 MiB of memory"):
        encode(Parts(picture()), gaussians=60, preset="fast", steps=20, device="cuda", limits=limits)


def test_a_fit_that_the_gpu_cannot_hold_is_refused(on_device: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    need = fit_bytes((40, 48, 3), 60, compares_neighbours=False)
    monkeypatch.setattr(on_device, "memory", need - 1)
    text = f"device host: a fit of 48x40 px takes about {need:,} bytes, {need - 1:,} are free; use --device cpu"
    with pytest.raises(OutOfDeviceMemory) as caught:
        encode(picture(), gaussians=60, preset="fast", steps=20, device="cuda")
    assert str(caught.value) == text


def test_a_picture_that_the_gpu_cannot_hold_is_refused(runtime: HostRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(picture(), gaussians=20, preset="fast", steps=5, device="cpu").data
    monkeypatch.setattr(runtime, "memory", 40 * 48 * 3 - 1)
    with open_igs(data, device=CudaRasterizer(runtime)) as image:
        with pytest.raises(OutOfDeviceMemory) as caught:
            image.render_device()
        text = (
            "a picture of 48x40 px takes about 5,760 bytes, 5,759 are free; request a region, a smaller size, or strips"
        )
        assert str(caught.value) == f"device host: {text}"
        assert image.render_device(region=(0, 0, 48, 20)).shape == (20, 48, 3)


def test_more_tiles_than_are_counted_are_refused(runtime: HostRuntime) -> None:
    with pytest.raises(LimitExceeded, match=f"device host: {1 << 32} tiles at a time, at most {MAX_TILES} are taken"):
        TileLists(runtime, (0, 0, 1 << 16, 1 << 16), 0)


@pytest.mark.usefixtures("on_device")
def test_scratch_files_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Parts(picture())
    monkeypatch.setattr("gscodec.encoding.sources.load_picture", lambda *_, **__: source)
    encode(tmp_path / "large.tif", gaussians=20, preset="fast", steps=5, device="cuda")
    assert source.closed
