"""Files in another profile without their source."""

from pathlib import Path

import numpy as np
import pytest

import gscodec
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.encoding.requantise import requantised
from gscodec.errors import InvalidArgument
from gscodec.format.profile_table import LAYOUTS
from gscodec.metrics import psnr
from gscodec.render.engines import cpu_backend

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.igs") if not path.stem.endswith("_cut"))
ENGINE = cpu_backend(1)


def profile_of(data: bytes) -> str:
    return LAYOUTS[IgsReader(data).header.profile].name


@pytest.mark.parametrize("profile", ["coded", "packed", "f16"])
@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_not_gaussians_is_kept(name: str, profile: str) -> None:
    data = (VECTORS / f"{name}.igs").read_bytes()
    found = requantised(data, profile, ENGINE)
    assert [issue for issue in validate(found) if issue.severity == "error"] == []
    if profile_of(data) == profile:
        assert found == data
        return
    assert profile_of(found) == profile
    with IgsReader(found) as mine, IgsReader(data) as theirs:
        assert (mine.n_lods, mine.n_sets, mine.groups) == (theirs.n_lods, theirs.n_sets, theirs.groups)
        assert (mine.meta, mine.files, mine.icc, mine.grain) == (theirs.meta, theirs.files, theirs.icc, theirs.grain)
        for lod in range(mine.n_lods):
            assert mine.count(lod) == theirs.count(lod)
            assert mine.gains(lod) == theirs.gains(lod)


@pytest.fixture(scope="module")
def photo() -> dict[str, bytes]:
    """A smooth picture in each profile."""
    y, x = np.mgrid[:96, :128] / 32
    values = np.stack([np.sin(x * y), np.cos(x + y), np.sin(3 * x - y)], axis=2)
    pixels = np.round(127.5 + 100 * values).astype(np.uint8)
    how = {"gaussians": 400, "preset": "fast", "steps": 120, "tune": "psnr", "lods": 2}
    return {name: gscodec.encode(pixels, profile=name, **how).data for name in ("coded", "packed", "f16")}  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["coded", "packed", "f16"])
@pytest.mark.parametrize("profile", ["coded", "packed", "f16"])
def test_the_picture_stays_near(photo: dict[str, bytes], source: str, profile: str) -> None:
    found = requantised(photo[source], profile, ENGINE)
    with gscodec.open(photo[source], device="cpu") as before, gscodec.open(found, device="cpu") as after:
        for lod in range(before.lods):
            assert psnr(after.render(lod), before.render(lod)) > 36
    if source == "f16" and profile == "coded":
        assert len(found) < 0.6 * len(photo["f16"])


def test_records_of_other_sizes(photo: dict[str, bytes]) -> None:
    found = requantised(photo["packed"], "packed", ENGINE, record_bytes=9)
    assert IgsReader(found).record_bytes == 9
    for profile, size in (("coded", 9), ("packed", 200)):
        with pytest.raises(InvalidArgument, match="records of profile packed"):
            requantised(photo["f16"], profile, ENGINE, record_bytes=size)
    with pytest.raises(InvalidArgument, match="without its source"):
        requantised(photo["f16"], "small", ENGINE)
