import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gscodec_bench import windows
from gscodec_bench.command import main
from gscodec_bench.crops import Crop
from gscodec_bench.sources import Source
from gscodec_bench.strips import strip
from gscodec_bench.windows import Window, make_pictures, windows_of
from PIL import Image

from gscodec.cli.exit import ExitCode

Waves = Callable[..., npt.NDArray[np.uint8]]


def run(gallery: Path, output: Path, *more: str) -> list[dict[str, str]]:
    words = [str(gallery / "photo"), "--suite", "crops", "--output", str(output), "--quick", "-q", "-j", "1"]
    assert main([*words, *more]) == ExitCode.OK
    with (output / "crops.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of the gallery's picture, and no pictures made."""
    monkeypatch.setattr(windows, "_MAKERS", {})
    monkeypatch.setattr(windows, "NAMED", {"one": (Window(Crop("corner", 8, 4, 40, 32), 2.0),)})


@pytest.mark.usefixtures("one_window")
def test_a_window_stands_beside_itself_in_a_strip_and_on_a_page(gallery: Path, tmp_path: Path) -> None:
    rows = run(gallery, tmp_path, "--codecs", "gscodec:fast:steps8,jpeg,webp")
    assert [row["codec"] for row in rows] == ["gscodec:fast:steps8", "jpeg", "webp"]
    assert {(row["crop"], row["x"], row["crop_width"], row["rate"]) for row in rows} == {("corner", "8", "40", "2")}
    assert all(int(row["bytes"]) <= 2 * 70 * 90 / 8 and row["ssimulacra2"] for row in rows)
    (path,) = (tmp_path / "crops").glob("*.webp")
    with Image.open(path) as image:
        assert image.size == (4 * 40 + 3 * 4, 32 + 16)
        with Image.open(gallery / "photo" / "one.png") as source:
            assert image.crop((0, 16, 40, 48)).tobytes() == source.crop((8, 4, 48, 36)).tobytes()
    page = (tmp_path / "crops.html").read_text()
    assert page.count('class="viewer"') == 1
    assert page.count("<figure>") == 4
    assert "http" not in page
    assert f"](crops/{path.name})" in (tmp_path / "crops.md").read_text()


@pytest.mark.usefixtures("one_window")
def test_who_has_no_files_that_small_is_not_shown(gallery: Path, tmp_path: Path) -> None:
    rows = run(gallery, tmp_path, "--codecs", "jpeg,webp", "--rates", "0.6")
    assert {row["codec"]: bool(row["psnr"]) for row in rows} == {"jpeg": False, "webp": True}
    assert (tmp_path / "crops.html").read_text().count("<figure>") == 2
    assert "| jpeg | 0 |" in (tmp_path / "crops.md").read_text()


@pytest.mark.usefixtures("one_window")
def test_crops_that_are_gone_are_said_to_be(gallery: Path, tmp_path: Path) -> None:
    run(gallery, tmp_path, "--codecs", "webp")
    for path in (tmp_path / "files").glob("*webp.png"):
        path.unlink()
    run(gallery, tmp_path, "--codecs", "webp")
    assert "one, corner: its crops are gone" in (tmp_path / "crops.md").read_text()


def test_windows_by_name_and_by_rule(waves: Waves) -> None:
    samples = np.asarray(waves(512, 768, 3) / 255, np.float32)
    named = windows_of(Source("kodak/kodim08", "kodak", ()), samples)
    assert [(w.crop.title, w.rate) for w in named] == [("facades", 0.2)]
    assert len(windows_of(Source("kodak/kodim08", "kodak", ()), samples[:300])) == 2  # where it does not fit
    assert [w.crop.title for w in windows_of(Source("x", "y", ()), samples)] == ["most detail", "median detail"]


def test_pictures_made_are_the_same_every_time(tmp_path: Path) -> None:
    first, again = make_pictures(tmp_path / "a"), make_pictures(tmp_path / "b")
    assert [source.name for source in first] == ["made/grain", "made/text"]
    assert [source.sha256() for source in first] == [source.sha256() for source in again]
    for source in first:
        (window,) = windows_of(source, source.load().samples)
        assert window.crop.of(source.load().samples).shape[:2] == (window.crop.height, window.crop.width)
    assert 14 < float(np.std(windows.grain().astype(float) - windows.grain().mean(axis=(0, 1)))) < 20


def test_a_strip_of_gray_pictures() -> None:
    image = strip([("a", np.ones((10, 20, 1), np.float32)), ("b", np.zeros((10, 20, 3), np.float32))])
    assert image.size == (44, 26)
    assert image.getpixel((5, 20)) == (255, 255, 255)
    assert image.getpixel((30, 20)) == (0, 0, 0)
