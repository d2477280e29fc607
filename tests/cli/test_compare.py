import importlib.util
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import OpenEXR
import pytest
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from program import Run


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
    assert set(result) == {
        "a",
        "b",
        "width",
        "height",
        "channels",
        "identical",
        "psnr",
        "ssim",
        "ms_ssim",
        "ssimulacra2",
    }


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
        (["--min-ssimulacra2", "-200"], 0),
        (["--min-ssimulacra2", "99"], 7),
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


@pytest.fixture
def exr(tmp_path: Path) -> Path:
    """Light over nine stops, its brightest sample 400."""
    y, x = np.mgrid[0:24, 0:32]
    light = np.stack([400 * np.exp2(-((x + c) % 10) * (y % 9) / 9.0) for c in range(3)], axis=2)
    return write_exr(tmp_path / "light.exr", light)


def write_exr(path: Path, light: "npt.NDArray[np.float64]") -> Path:
    channels = {name: np.ascontiguousarray(light[:, :, c].astype(np.float32)) for c, name in enumerate("RGB")}
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(path))
    return path


def test_light_gets_metrics_of_its_own(run: "Run", exr: Path, tmp_path: Path) -> None:
    light = OpenEXR.File(str(exr)).channels()["RGB"].pixels
    other = write_exr(tmp_path / "other.exr", light * 1.05)
    result = json.loads(run("compare", exr, other, "--json").text)
    assert result["log_psnr"] == pytest.approx(20 * np.log10(30 / np.log2(1.05)), abs=0.01)
    assert 0 < result["hdr_flip"] < 0.2
    assert run("compare", exr, other).text.split("  ")[3].startswith("log PSNR ")
    # B's own range, 5 % wider, would hide that all of it is off.
    assert result["psnr"] == pytest.approx(20 * np.log10(np.log(400 / 400 * 2**9) / np.log(1.05)), abs=3)
    same = json.loads(run("compare", exr, exr, "--json").text)
    assert (same["identical"], same["log_psnr"], same["hdr_flip"]) == (True, None, 0.0)


def test_light_of_an_igs_file_is_that_of_its_decoded_picture(run: "Run", exr: Path, tmp_path: Path) -> None:
    igs, decoded = tmp_path / "light.igs", tmp_path / "decoded.exr"
    assert run("encode", exr, igs, "--gaussians", 60, "--steps", 20, "--preset", "fast").code == 0
    assert run("decode", igs, decoded, "--bits", 32).code == 0
    direct, by_file = (json.loads(run("compare", exr, other, "--json").text) for other in (igs, decoded))
    for name in ("psnr", "log_psnr", "hdr_flip"):
        assert direct[name] == pytest.approx(by_file[name], abs=1e-3)


def test_floats_and_integers_have_no_common_scale(run: "Run", exr: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat.png"
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(flat)
    for pair in ((exr, flat), (flat, exr)):
        outcome = run("compare", *pair)
        assert (outcome.code, outcome.stdout) == (7, b"")
        assert "light.exr has floats where" in outcome.stderr


def test_hdr_flip_without_its_package_is_left_out_and_named(
    run: "Run", exr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "flip_evaluator" else find(name))
    outcome = run("compare", exr, exr, "--json")
    assert json.loads(outcome.text)["hdr_flip"] is None
    assert "pip install 'flip-evaluator>=" in outcome.stderr


def test_a_part_of_several_and_what_is_not_finite(run: "Run", tmp_path: Path) -> None:
    light = np.linspace(0.5, 9, 24 * 32, dtype=np.float32).reshape(24, 32)
    holed = light.copy()
    holed[3, 4] = np.nan
    planes = {"left": light * 2, "right": holed}
    parts = [OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"Y": plane}, name) for name, plane in planes.items()]
    several, one = tmp_path / "several.exr", tmp_path / "one.exr"
    OpenEXR.File(parts).write(str(several))
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"Y": light}).write(str(one))
    assert "choose one with --part" in run("compare", several, one).stderr
    assert "choose --nan zero or --nan hole" in run("compare", several, one, "--part", "right").stderr
    result = json.loads(run("compare", several, one, "--part", "right", "--nan", "hole", "--json").text)
    assert result["log_psnr"] > 60
    assert json.loads(run("compare", several, one, "--part", "0", "--json").text)["log_psnr"] < 40


def test_what_an_alpha_hides_does_not_count(run: "Run", tmp_path: Path) -> None:
    first = np.full((40, 40, 4), 90, np.uint8)
    first[:, :20, 3], first[:, 20:, 3] = 0, 255
    second = first.copy()
    second[:, :20, :3] = np.random.default_rng(2).integers(0, 256, (40, 20, 3))
    for path, pixels in (("a.png", first), ("b.png", second)):
        Image.fromarray(pixels).save(tmp_path / path)
    result = json.loads(run("compare", tmp_path / "a.png", tmp_path / "b.png", "--json").text)
    assert (result["identical"], result["psnr"]) == (False, None)
    assert result["ssim"] == pytest.approx(1)
    second[:, 20:, :3] += 5
    Image.fromarray(second).save(tmp_path / "b.png")
    result = json.loads(run("compare", tmp_path / "a.png", tmp_path / "b.png", "--json").text)
    # Three of four samples that count half as often as the alphas: 3/2 of 5/2 of all.
    assert result["psnr"] == pytest.approx(20 * np.log10(255 / 5) - 10 * np.log10(3 / 5), abs=1e-3)


@pytest.mark.parametrize("kind", ["exr", "png"])
def test_a_picture_with_alpha_is_compared_with_its_file(run: "Run", kind: str, tmp_path: Path) -> None:
    y, x = np.mgrid[:48, :48] / 48
    alpha = np.clip(1.5 - 3 * np.hypot(x - 0.5, y - 0.5), 0, 1) if kind == "exr" else np.ones((48, 48))
    colour = np.stack([0.5 + 0.3 * x, 0.4 + 0.2 * y, 0.3 + 0 * x], axis=2)
    source, made = tmp_path / f"in.{kind}", tmp_path / "out.igs"
    if kind == "exr":
        planes = {name: colour[:, :, k] * alpha for k, name in enumerate("RGB")} | {"A": alpha}
        channels = {name: np.ascontiguousarray(plane, np.float32) for name, plane in planes.items()}
        OpenEXR.File({"type": OpenEXR.scanlineimage}, dict(channels)).write(str(source))
    else:
        Image.fromarray(np.rint(255 * np.dstack([colour, alpha])).astype(np.uint8)).save(source)
    assert run("encode", source, made, "--bpp", 6, "--preset", "fast", "--steps", 80).code == 0
    result = json.loads(run("compare", source, made, "--json").text)
    assert result["channels"] == 4
    assert result["psnr"] > 35
    assert result["ssim"] > 0.95


def test_a_minimum_of_what_does_not_apply_is_refused(run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", (7, 9)).save(path)
    outcome = run("compare", path, path, "--min-ssimulacra2", "50")
    assert outcome.code == 1
    assert "--min-ssimulacra2 needs" in outcome.stderr
    assert run("compare", path, path).text.count("SSIM") == 2
