import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gscodec_bench.command import main
from gscodec_bench.suites import SUITES, ablation, get_suite, restoration

from gscodec.cli.exit import ExitCode
from gscodec.errors import InvalidArgument
from gscodec.image.arrays import from_array
from gscodec.metrics import psnr

Waves = Callable[..., npt.NDArray[np.uint8]]


def run(suite: str, gallery: Path, output: Path, *more: str) -> list[dict[str, str]]:
    words = [str(gallery / "photo"), "--suite", suite, "--output", str(output), "--quick", "-q", "-j", "1"]
    assert main([*words, *more]) == ExitCode.OK
    with (output / f"{suite}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_levels_stand_beside_files_of_their_bytes(gallery: Path, tmp_path: Path) -> None:
    rows = run("lod", gallery, tmp_path, "--codecs", "gscodec:fast:lods3:steps8", "--rates", "2")
    assert [row["lod"] for row in rows] == ["0", "1", "2"]
    sizes = [int(row["bytes"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    for row in rows:
        assert 0.8 * int(row["bytes"]) <= int(row["alone_bytes"]) <= int(row["bytes"])
        assert float(row["loss_db"]) == pytest.approx(float(row["alone_psnr"]) - float(row["psnr"]), abs=2e-3)
    assert "worst loss" in (tmp_path / "lod.md").read_text()
    assert (tmp_path / "lod-psnr.svg").exists()


def test_what_has_arrived_of_a_file_is_shown(gallery: Path, tmp_path: Path) -> None:
    ours = "gscodec:fast:lods3:halves1:steps8"
    rows = run("arriving", gallery, tmp_path, "--codecs", f"{ours},jpeg,webp", "--rates", "2")
    for name in (ours, "jpeg", "webp"):
        mine = [row for row in rows if row["codec"] == name]
        assert [row["percent"] for row in mine] == ["1.562", "3.125", "6.25", "12.5", "25", "50", "75", "100"]
        quality = [float(row["psnr"]) for row in mine]
        assert quality[-1] == max(quality)
        assert (quality[-2] != quality[0]) == (name != "webp"), "shows nothing before it is complete"
    assert "| 12.5 % |" in (tmp_path / "arriving.md").read_text()
    assert (tmp_path / "arriving-curves.svg").exists()


def test_restoration_is_measured_against_the_clean_picture(gallery: Path, tmp_path: Path) -> None:
    rows = run("restoration", gallery, tmp_path, "--codecs", "gscodec:fast:lods1:steps8", "--rates", "2")
    assert [row["damage"] for row in rows] == ["jpeg10", "noise25"]
    for row in rows:
        gain = float(row["psnr"]) - float(row["damaged_psnr"])
        assert float(row["gain_db"]) == pytest.approx(gain, abs=2e-3)
    assert "| noise25 | gscodec:fast:lods1:steps8 | 2 |" in (tmp_path / "restoration.md").read_text()


def test_damage_is_as_strong_as_it_says_and_the_same_every_time(waves: Waves) -> None:
    clean = from_array(np.full((80, 90, 3), 128, np.uint8))
    noisy = restoration.damage_picture(clean, "noise25", seed=7)
    assert float(np.std(noisy.samples * 255)) == pytest.approx(25, rel=0.02)
    assert np.array_equal(noisy.samples, restoration.damage_picture(clean, "noise25", seed=7).samples)
    assert not np.array_equal(noisy.samples, restoration.damage_picture(clean, "noise25", seed=8).samples)
    picture = from_array(waves(80, 90, 3))
    strong, weak = (restoration.damage_picture(picture, name, 0) for name in ("jpeg10", "jpeg40"))
    assert psnr(picture.samples, strong.samples) < psnr(picture.samples, weak.samples) < 60


def test_the_ablation_has_a_row_for_every_variant(
    gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "QUICK_SIDE_PX", 40)
    monkeypatch.setattr(ablation, "QUICK_STEPS", 3)
    rows = run("ablation", gallery, tmp_path, "--metrics", "psnr,flip,normal_deg")
    assert len({row["variant"] for row in rows}) == len(rows) == 6
    assert {row["setting"] for row in rows} == {"40px"}
    assert {(row["height"], row["width"]) for row in rows} == {("40", "40")}
    text = (tmp_path / "ablation.md").read_text()
    assert text.index("| full |") < text.index("| no colour |") < text.index("| no top-k |")
    assert (tmp_path / "ablation-psnr.png").exists()


def test_the_middle_of_a_picture(waves: Waves) -> None:
    samples = waves(50, 30, 3)
    middle = ablation.centre(from_array(samples), 40)
    assert np.array_equal(np.rint(middle.samples * 255), samples[5:45])


def test_the_guard_has_a_jpeg_row_as_its_canary(gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gscodec_bench.suites.check.CODECS", ("gscodec:fast:steps3", "jpeg"))
    rows = run("check", gallery, tmp_path)
    assert [(row["codec"], row["setting"]) for row in rows] == [("gscodec:fast:steps3", "0.2"), ("jpeg", "35")]


def test_suites_have_names() -> None:
    assert all(suite.name == name and suite.summary for name, suite in SUITES.items())
    with pytest.raises(InvalidArgument, match="not known"):
        get_suite("none")
