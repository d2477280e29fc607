"""An engine is a class and an entry of the registry: everything else takes it by its capabilities."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

import gscodec
from gscodec.errors import InvalidArgument
from gscodec.model.gaussians import Float32Array, GaussianSet, Grid
from gscodec.model.rendering import GaussianGrads, TileIndex
from gscodec.render.cpu import CpuRasterizer
from gscodec.render.engines import ENGINES, Engine, get_backend, parse_device
from gscodec.render.reference import ReferenceRasterizer

Pixels = npt.NDArray[np.uint8]

SETTINGS = gscodec.EncodeSettings(gaussians=24, preset="fast", steps=30, lods=2)


class Toy(ReferenceRasterizer):
    """The oracle's formulas as an engine that trains, with none of the optional capabilities."""

    name = "toy"
    trains: ClassVar[bool] = True
    n_gradients = 0

    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        Toy.n_gradients += 1
        return super().backward(gaussians, grid, index, grad_image)


class Whole(CpuRasterizer):
    """The CPU engine without what it may do beyond the required methods."""

    name = "whole"
    fits_blocks: ClassVar[bool] = False
    takes_subsets: ClassVar[bool] = False
    finds_owners: ClassVar[bool] = False


@pytest.fixture
def pixels() -> Pixels:
    y, x = np.mgrid[0:20, 0:28]
    return np.stack([9 * x, 12 * y, 4 * (x + y)], axis=2).astype(np.uint8)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "toy", Engine(lambda: Toy))
    monkeypatch.setitem(ENGINES, "whole", Engine(lambda: Whole))


@pytest.mark.parametrize("profile", ["coded", "f16"])
def test_a_registered_engine_encodes_and_decodes(pixels: Pixels, profile: str) -> None:
    before = Toy.n_gradients
    result = gscodec.encode(pixels, settings=SETTINGS, profile=profile, device="toy")
    assert result.device == "toy"
    assert result.psnr > 25
    assert Toy.n_gradients > before + 30  # of the steps, and of what is pruned
    with gscodec.open(result.data, device="toy") as image, gscodec.open(result.data, device="cpu") as same:
        assert np.abs(image.render().astype(int) - same.render().astype(int)).max() <= 1


def test_capabilities_are_used_only_where_they_are_declared(pixels: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Whole, "farthest_owned", lambda *_: pytest.fail("it was not declared"))
    whole = gscodec.encode(pixels, settings=SETTINGS, device="whole")
    assert whole.psnr > 25
    wide = np.tile(pixels, (1, 3, 1))  # two blocks
    with pytest.raises(gscodec.errors.BackendUnavailable, match="device whole does not fit blocks of a picture"):
        gscodec.encode(wide, settings=SETTINGS, device="whole", block=64)


def test_names_come_from_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(get_backend("toy"), Toy)
    with pytest.raises(InvalidArgument, match="use auto, cpu, cuda, cuda:N, gpu, reference, toy or whole"):
        parse_device("toy:0")
    monkeypatch.delitem(ENGINES, "toy")
    with pytest.raises(
        InvalidArgument, match="device 'toy' is not known: use auto, cpu, cuda, cuda:N, gpu, reference or"
    ):
        get_backend("toy")


def test_an_engine_that_does_not_train_says_so(pixels: Pixels) -> None:
    with pytest.raises(gscodec.errors.BackendUnavailable, match="device reference cannot train"):
        gscodec.encode(pixels, settings=SETTINGS, device="reference")
