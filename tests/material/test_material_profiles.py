"""ICC profiles of a material: in the colour maps that they came with, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from icc_profiles import make_profile
from PIL import Image

import gscodec
from gscodec.cli.app import main
from gscodec.errors import SourceWarning
from gscodec.material.maps import load_source

QUICK = {"gaussians": 40, "preset": "fast", "steps": 10, "lods": 1}


SRGB, OTHER, GRAY = make_profile(), make_profile(padding=4), make_profile(b"GRAY")


def draw(path: Path, mode: str, icc: bytes | None) -> Path:
    y, x = np.mgrid[0:32, 0:32] / 32
    vectors = np.stack([0.4 * np.sin(9 * x), 0.3 * np.cos(7 * y), np.zeros_like(x)], axis=2)
    vectors[:, :, 2] = np.sqrt(1 - np.square(vectors).sum(axis=2))
    values = {
        "RGB": np.stack([x, 0.8 * x + 0.2 * y, y], axis=2),
        "normal": 0.5 + 0.5 * vectors,
        "L": 0.5 + 0.4 * np.sin(8 * x * y),
    }[mode]
    Image.fromarray(np.asarray(values * 255 + 0.5, np.uint8)).save(path, icc_profile=icc)
    return path


def icc_of(path: Path) -> bytes | None:
    with Image.open(path) as image:
        found = image.info.get("icc_profile")
        return found if isinstance(found, bytes) else None


@pytest.fixture
def rock(tmp_path: Path) -> Path:
    """A material whose maps all have a profile, as some programs write them."""
    folder = tmp_path / "rock"
    folder.mkdir()
    draw(folder / "rock_col.png", "RGB", SRGB)
    draw(folder / "rock_nor.png", "normal", SRGB)
    draw(folder / "rock_rough.png", "L", GRAY)
    draw(folder / "rock_glow.png", "RGB", None)
    gscodec.encode(folder, tmp_path / "rock.igs", **QUICK)  # type: ignore[arg-type]
    return tmp_path / "rock.igs"


EXPECTED = {"rock_col.png": SRGB, "rock_nor.png": None, "rock_rough.png": None, "rock_glow.png": None}


def test_decode_gives_each_map_its_own_profile(rock: Path, tmp_path: Path) -> None:
    assert main(["decode", str(rock), str(tmp_path / "back")]) == 0
    assert {path.name: icc_of(path) for path in (tmp_path / "back").iterdir()} == EXPECTED


def test_decode_in_a_batch_does_the_same(rock: Path, tmp_path: Path) -> None:
    assert main(["batch", "--decode", str(rock.parent), str(tmp_path / "back"), "--jobs", "1"]) == 0
    assert {path.name: icc_of(path) for path in (tmp_path / "back" / "rock").iterdir()} == EXPECTED


def test_export_does_the_same(rock: Path, tmp_path: Path) -> None:
    gscodec.export(rock, tmp_path / "back", to="png")
    assert {path.name: icc_of(path) for path in (tmp_path / "back").iterdir()} == EXPECTED


def test_profiles_that_differ_are_reported(tmp_path: Path) -> None:
    paths = [draw(tmp_path / "a_col.png", "RGB", SRGB), draw(tmp_path / "a_glow.png", "RGB", OTHER)]
    with pytest.warns(SourceWarning, match=r"^a_glow.png: its ICC profile differs from that of a_col.png"):
        stack = load_source(paths)
    assert stack.icc == SRGB
    data = gscodec.encode(stack, **QUICK).data  # type: ignore[arg-type]
    with gscodec.open(data) as image:
        assert {name: one.icc for name, one in image.render_files().items()} == {"a_col.png": SRGB, "a_glow.png": None}


def test_a_map_alone_has_no_profile_and_a_picture_keeps_its_own(tmp_path: Path) -> None:
    assert load_source([draw(tmp_path / "a_nor.png", "normal", SRGB)]).icc is None
    assert load_source([draw(tmp_path / "a_rough.png", "L", GRAY)]).icc is None
    assert load_source([draw(tmp_path / "photo.png", "RGB", SRGB)]).icc == SRGB
    assert load_source([draw(tmp_path / "gray.png", "L", GRAY)]).icc == GRAY
