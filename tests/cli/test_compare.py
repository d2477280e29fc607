import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def test_a_picture_equals_itself(run: "Run", picture: Path) -> None:
    result = json.loads(run("compare", picture, picture, "--json").text)
    assert result["identical"] is True
    assert result["psnr"] is None
    assert result["ssim"] == pytest.approx(1.0)
    outcome = run("compare", picture, picture, "--min-psnr", 99)
    assert outcome.code == 0
    assert outcome.text.startswith("PSNR inf dB")


def test_figures_are_those_of_the_formula(run: "Run", tmp_path: Path) -> None:
    first = np.random.default_rng(0).integers(0, 200, (40, 40, 3), dtype=np.uint8)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, pixels in zip(paths, (first, first + 5), strict=True):
        Image.fromarray(pixels).save(path)
    outcome = run("compare", *paths, "--json")
    assert (outcome.code, outcome.stderr) == (0, "")
    result = json.loads(outcome.text)
    assert result["psnr"] == pytest.approx(20 * np.log10(255 / 5), abs=1e-4)
    assert (result["width"], result["height"], result["channels"]) == (40, 40, 3)
    assert set(result) == {"a", "b", "width", "height", "channels", "identical", "psnr", "ssim", "ms_ssim"}


def test_igs_files_are_told_by_content(run: "Run", picture: Path, igs: Path, tmp_path: Path) -> None:
    disguised, decoded = tmp_path / "file.png", tmp_path / "decoded.png"
    shutil.copy(igs, disguised)
    assert run("decode", igs, decoded).code == 0
    assert json.loads(run("compare", disguised, decoded, "--json").text)["identical"] is True
    assert run("compare", picture, igs).text == run("compare", picture, decoded).text


def test_stdin(run: "Run", picture: Path, igs: Path) -> None:
    wanted = run("compare", picture, igs).text
    assert run("compare", picture, "-", stdin=igs.read_bytes()).text == wanted
    assert run("compare", "-", igs, stdin=picture.read_bytes()).text == wanted


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 0),
        (["--min-psnr", "10"], 0),
        (["--min-psnr", "90"], 7),
        (["--min-ssim", "0.1"], 0),
        (["--min-ssim", "0.99999"], 7),
    ],
)
def test_minima(run: "Run", picture: Path, igs: Path, options: list[str], code: int) -> None:
    outcome = run("compare", picture, igs, *options)
    assert outcome.code == code
    assert outcome.text.startswith("PSNR ")
    assert (outcome.stderr == "") == (code == 0)


def test_pictures_that_do_not_fit(run: "Run", picture: Path, tmp_path: Path) -> None:
    small, gray = tmp_path / "small.png", tmp_path / "gray.png"
    with Image.open(picture) as image:
        image.resize((20, 20)).save(small)
        image.convert("L").save(gray)
    for other in (small, gray):
        outcome = run("compare", picture, other)
        assert (outcome.code, outcome.stdout) == (7, b"")
        assert outcome.stderr.count("\n") == 1


def test_what_is_not_there_or_no_picture(run: "Run", picture: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("hello")
    assert run("compare", picture, tmp_path / "none.png").code == 2
    assert run("compare", picture, text).code == 3
