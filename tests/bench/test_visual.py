import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gscodec_bench.budget import DIAL_STEPS, Search, budget_bytes
from gscodec_bench.codecs import get_codec
from gscodec_bench.command import main
from gscodec_bench.published import COOL_CHIC, published_rows
from gscodec_bench.suites import visual

from gscodec.cli.exit import ExitCode
from gscodec.image.arrays import from_array

Waves = Callable[..., npt.NDArray[np.uint8]]


def run(gallery: Path, output: Path, *more: str) -> list[dict[str, str]]:
    words = [str(gallery / "photo"), "--suite", "visual", "--output", str(output), "-q", "-j", "1", *more]
    assert main(words) == ExitCode.OK
    with (output / "visual.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "jxl"])
def test_a_search_finds_the_largest_files_within_a_budget(waves: Waves, name: str) -> None:
    codec = get_codec(name)
    if reason := codec.available():
        pytest.skip(reason)
    search = Search(codec, from_array(waves(48, 56, 3)))
    setting, (data,) = search.largest_within(1500)
    assert len(data) <= 1500
    settings = list(dict.fromkeys(str(codec.dial(step / DIAL_STEPS)) for step in range(DIAL_STEPS + 1)))
    following = settings[settings.index(setting) + 1]
    assert len(codec.encode(search.stack, following)) > 1500
    tried = len(search.tried)
    assert search.largest_within(1500)[0] == setting
    assert len(search.tried) == tried
    smallest = search.largest_within(1)
    assert smallest[0] == settings[0]
    assert search.largest_within(10**9)[0] == settings[-1]


def test_everyone_has_the_same_budget(gallery: Path, tmp_path: Path) -> None:
    options = ("--codecs", "gscodec:fast:steps8,gscodec:fast:steps8:seed1,jpeg,webp", "--rates", "0.1,2")
    rows = run(gallery, tmp_path, *options)
    assert len(rows) == 8
    for row in rows:
        budget = int(row["budget_bytes"])
        assert budget == budget_bytes(from_array(np.zeros((70, 90, 3), np.uint8)), float(row["rate"]))
        assert (int(row["bytes"]) <= budget) == bool(row["ssimulacra2"]) == bool(row["block_hue"])
    by_codec = {(row["codec"], row["rate"]): row for row in rows}
    assert by_codec["jpeg", "0.1"]["ssimulacra2"] == ""  # whose headers alone are larger
    assert by_codec["jpeg", "2"]["ssimulacra2"]
    text = (tmp_path / "visual.md").read_text()
    assert "`gscodec:fast:steps8` less the rival" in text
    assert "seed1` less" not in text
    one, two = (float(by_codec[f"gscodec:fast:steps8{seed}", "2"]["psnr"]) for seed in ("", ":seed1"))
    assert f"| gscodec:fast:steps8 | {(one + two) / 2:.2f} |" in text
    assert (tmp_path / "visual-ssimulacra2.svg").exists()
    before = (tmp_path / "visual.csv").read_bytes()
    run(gallery, tmp_path, *options)
    assert (tmp_path / "visual.csv").read_bytes() == before


def test_a_judge_can_be_asked_for_alone(gallery: Path, tmp_path: Path) -> None:
    rows = run(gallery, tmp_path, "--codecs", "webp", "--rates", "2", "--metrics", "block_luma")
    assert [bool(rows[0][name]) for name in ("block_luma", "psnr")] == [True, False]
    words = [str(gallery / "photo"), "--suite", "rd", "--metrics", "block_luma", "--output", str(tmp_path)]
    assert main(words) == ExitCode.USAGE


def test_tunes_of_avif() -> None:
    default, tuned = get_codec("avif"), get_codec("avif:psnr")
    if reason := default.available():
        pytest.skip(reason)
    assert (default.name, tuned.name) == ("avif", "avif:psnr")
    assert tuned.version().endswith(", tune psnr")
    assert "no tune nonsense" in str(get_codec("avif:nonsense").available())
    stack = from_array(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for codec in (get_codec("avif:iq"), tuned):
        reason = codec.available()
        if reason is None or "default" in reason:
            assert (codec.encode(stack, "40") == default.encode(stack, "40")) == (reason is not None)


def test_cool_chics_points_are_those_of_kodaks_pictures() -> None:
    kodak = {"image": "kodak/kodim03", "category": "kodak", "height": "512", "width": "768"}
    other = [kodak | {"image": "kodak/kodim25"}, kodak | {"width": "700"}, kodak | {"image": "photo"}]
    assert published_rows(other[:1] + other[2:]) == []
    assert published_rows(other[1:2]) == []
    rows = published_rows([kodak, kodak])
    assert {row["codec"] for row in rows} == {COOL_CHIC}
    assert [(row["bpp"], row["psnr"]) for row in rows][-1] == ("0.685899", "42.9509")
    assert len(rows) == 5


def test_published_figures_stand_beside_measured_ones() -> None:
    base = {"image": "kodim23", "category": "kodak", "height": "512", "width": "768", "rate": "0.2", "bpp": "0.1999"}
    rows = [base | {"codec": "avif", "psnr": "35.5"}, base | {"codec": "gscodec:fast", "psnr": "34.5"}]
    text = "\n".join(visual._published(rows, (0.2, 5)))
    assert "| gscodec:fast | 34.50 | - |" in text
    assert f"| {COOL_CHIC} | 36.83 | - |" in text
