"""Every engine decodes the golden files to the committed pictures, within one code value of 8 bits.

The other tests of engines compare them with each other; these find a change that all of them make together.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from golden_pictures import GOLDEN, golden_picture, picture_of

from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import OutputDtype, TileIndex
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer, available_isas
from gscodec.render.reference import ReferenceRasterizer

NAMES = sorted(path.stem for path in GOLDEN.glob("*.png"))


@pytest.fixture(scope="module", params=["reference", *available_isas()])
def engine(request: pytest.FixtureRequest) -> Rasterizer:
    return ReferenceRasterizer() if request.param == "reference" else CpuRasterizer(isa=request.param)


@pytest.mark.parametrize("name", NAMES)
def test_pictures(engine: Rasterizer, name: str) -> None:
    expected = golden_picture(GOLDEN / f"{name}.igs")
    decoded = picture_of(GOLDEN / f"{name}.igs", engine)
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected.astype(int)).max() <= 1


def test_nearly_all_files_have_a_picture_that_shows_something() -> None:
    shown = {name for name in NAMES if np.ptp(golden_picture(GOLDEN / f"{name}.igs")) > 64}
    files = {path.stem for path in GOLDEN.glob("*.igs")}
    assert files - shown <= {"empty", "gray", "made_deflated_tables", "made_extreme_records"}


class Wider(CpuRasterizer):
    """Renders every Gaussian 2 % wider: what a mistake in the formula of weights looks like."""

    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        wider = replace(gaussians, inv_scales=gaussians.inv_scales / 1.02)
        return super().forward(wider, grid, index, window, dtype)


@pytest.mark.parametrize("name", ["rgb", "coded_stack", "packed_rgb", "small_rgb", "stack"])
def test_a_change_of_weights_is_found(name: str) -> None:
    decoded = picture_of(GOLDEN / f"{name}.igs", Wider())
    assert np.abs(decoded.astype(int) - golden_picture(GOLDEN / f"{name}.igs").astype(int)).max() > 1
