"""Pictures beyond memory, as the program is asked to take them: parts in, parts out, stopped and gone on with."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from program import Run
from small_pictures import draw_picture

import gscodec
from gscodec.decoding import large_files
from gscodec.material import load_picture as large

BLOCKS = ("--preset", "fast", "--steps", "15", "--bpp", "0.5", "--block", "64")


@pytest.fixture
def tiled(tmp_path: Path) -> Path:
    """A 200x150 RGB TIFF in tiles."""
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, draw_picture(150, 200), tile=(64, 64), photometric="rgb", compression="zlib", metadata=None)
    return path


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are read and written from 1000 pixels on."""
    monkeypatch.setattr(large, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(large_files, "LARGE_PIXELS", 1000)


@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize("output", ["out.tif", "out.tiff"])
def test_a_tiled_tiff_goes_in_and_comes_out(run: Run, tiled: Path, tmp_path: Path, output: str) -> None:
    igs = tmp_path / "out.igs"
    outcome = run("encode", tiled, igs, *BLOCKS)
    assert outcome.code == 0, outcome.stderr
    outcome = run("decode", igs, tmp_path / output)
    assert outcome.code == 0, outcome.stderr
    with tifffile.TiffFile(tmp_path / output) as tiff, gscodec.open(igs) as image:
        page: Any = tiff.pages[0]
        assert page.is_tiled
        assert np.array_equal(page.asarray(), image.render())
    outcome = run("decode", igs, tmp_path / output)
    assert "exists" in outcome.stderr
    assert run("decode", igs, tmp_path / output, "--overwrite", "--bits", 16, "--region", "3,5,90,80").code == 0
    assert run("decode", igs, tmp_path / "part.png", "--bits", 16, "--region", "3,5,90,80").code == 0
    assert run("compare", tmp_path / output, tmp_path / "part.png", "--min-psnr", 99).code == 0


@pytest.mark.usefixtures("small_is_large")
def test_a_folder_of_tiles_is_the_same_picture(run: Run, tiled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "map"
    folder.mkdir()
    picture = draw_picture(150, 200)
    for y in range(0, 150, 60):
        for x in range(0, 200, 70):
            Image.fromarray(picture[y : y + 60, x : x + 70]).save(folder / f"map_{x // 70}_{y // 60}.png")
    outcome = run("encode", folder, tmp_path / "folder.igs", *BLOCKS)
    assert outcome.code == 0, outcome.stderr
    nameless = tiled.rename(tmp_path / "in")  # a folder records no name either
    assert run("encode", nameless, tmp_path / "tiff.igs", *BLOCKS).code == 0
    assert (tmp_path / "folder.igs").read_bytes() == (tmp_path / "tiff.igs").read_bytes()


def test_a_killed_encode_goes_on_to_the_same_file(run: Run, tiled: Path, tmp_path: Path) -> None:
    kept, output = tmp_path / "kept", tmp_path / "out.igs"
    arguments = ["encode", str(tiled), str(output), *BLOCKS, "--checkpoint", str(kept), "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "gscodec", *arguments])
    while (not kept.exists() or kept.stat().st_size < 5000) and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.wait()
    if process.returncode != 0:  # else it was faster than the kill
        assert not output.exists()
        assert kept.exists()
    outcome = run(*arguments, "--overwrite")
    assert outcome.code == 0, outcome.stderr
    assert not kept.exists()
    assert run("encode", tiled, tmp_path / "at_once.igs", *BLOCKS).code == 0
    assert output.read_bytes() == (tmp_path / "at_once.igs").read_bytes()


def test_a_checkpoint_of_a_small_picture_needs_blocks(run: Run, picture: Path, tmp_path: Path) -> None:
    outcome = run("encode", picture, tmp_path / "out.igs", "--bpp", 1, "--checkpoint", tmp_path / "kept")
    assert outcome.code != 0
    assert "give a block size" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_time_budget_shortens_the_encode(run: Run, tmp_path: Path, ticking_clock: Callable[[float], None]) -> None:
    ticking_clock(0.01)
    source, output = tmp_path / "in.png", tmp_path / "out.igs"
    Image.fromarray(draw_picture(300, 400)).save(source)
    outcome = run("encode", source, output, "--bpp", 0.3, "--preset", "best", "--time-budget", 1)
    assert outcome.code == 0, outcome.stderr
    assert 0.95 * 0.3 <= 8 * output.stat().st_size / (300 * 400) <= 0.3
    outcome = run("encode", source, output, "--bpp", 0.3, "--time-budget", 0, "--overwrite")
    assert outcome.code != 0
