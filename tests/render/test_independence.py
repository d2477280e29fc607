"""The oracle and what it judges have no numbers in common: each states its own, and here they are equal."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import gscodec
from gscodec.cuda import losses
from gscodec.model import constants
from gscodec.model.gaussians import Grid
from gscodec.render import reference, reference_loss

PACKAGE = Path(gscodec.__file__).parent
ORACLE = ("render/reference.py", "render/reference_loss.py")


def imported(path: Path) -> set[str]:
    """Modules of ours that a file imports from, and what it takes from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gscodec"):
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("gscodec")}
    return found


@pytest.mark.parametrize("name", ORACLE)
def test_the_oracle_takes_no_numbers_and_no_formulas(name: str) -> None:
    """Types, errors and checks of arguments are what it shares."""
    modules = {place.rpartition(".")[0] for place in imported(PACKAGE / name)}
    shared = {
        "gscodec.errors",
        "gscodec.model.gaussians",
        "gscodec.model.rendering",
        "gscodec.render.base",
        "gscodec.render.arguments",
    }
    assert modules <= shared | {"gscodec.render.reference_loss"}
    values = {place for place in imported(PACKAGE / name) if place.rpartition(".")[2].isupper()}
    assert not values


def test_no_engine_takes_from_the_oracle() -> None:
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in (*ORACLE, "render/engines.py"):  # which opens engines by name
            assert not {place for place in imported(path) if place.startswith("gscodec.render.reference")}, name


def test_tiles_and_limits_are_equal() -> None:
    assert reference.TILE_PX == constants.TILE_SIZE == gscodec._engine.TILE_SIZE
    assert reference.MOST_BLENDED == constants.MAX_TOP_K
    assert reference.MOST_CHANNELS == constants.MAX_CHANNELS
    for size in range(1, 70):
        grid = Grid(size, 71 - size, np.zeros(1, np.float32))
        assert reference.tiles_of(grid) == grid.tiles_shape


def test_ssim_has_the_same_numbers_everywhere() -> None:
    taps = reference_loss.ssim_window()[reference_loss.SSIM_TAPS // 2 :]
    kernels = (PACKAGE / "native" / "render" / "isa" / "ssim.h").read_text()
    listed = re.search(r"kTap\[kRadius \+ 1\] = \{([^}]*)\}", kernels)
    assert listed
    for found in (losses.SSIM_WEIGHTS, [float(number.strip(" \nf")) for number in listed[1].split(",")]):
        assert np.asarray(found) == pytest.approx(taps, rel=1e-7)  # a unit of float32
    assert losses.SSIM_TAPS == reference_loss.SSIM_TAPS
    assert pytest.approx(reference_loss.SSIM_C1, rel=1e-15) == losses.SSIM_C1
    assert pytest.approx(reference_loss.SSIM_C2, rel=1e-15) == losses.SSIM_C2
    assert "kC1 = 0.01f * 0.01f, kC2 = 0.03f * 0.03f;" in kernels
