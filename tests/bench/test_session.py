import csv
import json
import re
from pathlib import Path

import pytest
from gscodec_bench import command
from gscodec_bench.command import main
from gscodec_bench.plan import Plan
from gscodec_bench.session import run_suite
from gscodec_bench.sources import discover
from gscodec_bench.suites import SUITES

from gscodec.cli.exit import ExitCode

OURS = "gscodec:fast:lods1:steps2"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def arguments(gallery: Path, output: Path, *more: str) -> list[str]:
    words = [str(gallery), "--output", str(output), "--quick", "--metrics", "psnr", "-j", "1"]
    return [*words, "--skip", "odd/*", *more]


def test_help_knows_every_suite() -> None:
    assert tuple(SUITES) == command.SUITE_NAMES


def test_pictures_from_folder_to_tables(gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    words = arguments(gallery, output, "--codecs", f"jpeg,{OURS}", "--rates", "1", "--metrics", "psnr,flip")
    words += ["--files", str(tmp_path / "kept")]
    assert main(words) == ExitCode.OK
    captured = capsys.readouterr()
    assert "left out sky.exr: the rivals have no pictures of floats" in captured.err
    assert "rd: 24 measured, 0 known before, 0 failed, 2 of 3 sources" in captured.err
    assert str(output / "rd.md") in captured.out.splitlines()

    rows = rows_of(output / "rd.csv")
    assert {(row["image"], row["codec"]) for row in rows} == {
        (image, codec) for image in ("photo/one", "art_two") for codec in ("jpeg", OURS)
    }
    ours = next(row for row in rows if row["codec"] == OURS)
    kept = tmp_path / "kept" / "art_two__gscodec_fast_lods1_steps2__1.igs"
    assert kept.stat().st_size == int(ours["bytes"])
    assert float(ours["bpp"]) == pytest.approx(8 * int(ours["bytes"]) / 64 / 64, abs=1e-5)
    assert float(ours["psnr"]) > 8
    assert ours["ssim"] == ""
    assert ours["flip"] != ""
    table = (output / "rd.md").read_text()
    assert "sky.exr: the rivals have no pictures of floats" in table
    assert "\n    python -m gscodec_bench " in table  # the command that made it, with the words of this process
    assert {path.name for path in output.iterdir()} >= {"rd-bd.csv", "rd-psnr.svg", "rd-flip.png"}

    before = {path: path.read_bytes() for path in output.iterdir()}
    assert main(words) == ExitCode.OK
    assert "0 measured, 24 known before" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in output.iterdir()} == before


def test_stacks_and_several_suites(gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = arguments(gallery, tmp_path, "--suite", "rd,stacks", "--codecs", "bc1,jpeg", "--json", "-q", "--jobs", "2")
    assert main(words) == ExitCode.OK
    captured = capsys.readouterr()
    assert captured.err == ""
    suites = {suite["suite"]: suite for suite in json.loads(captured.out)["suites"]}
    assert suites["stacks"]["measured"] == 16
    assert {"name": "sky.exr", "reason": "the rivals have no pictures of floats"} in suites["stacks"]["left_out"]
    row = rows_of(tmp_path / "stacks.csv")[0]
    assert float(row["bppc"]) == pytest.approx(float(row["bpp"]) / 7, rel=1e-3)
    assert re.fullmatch(r"albedo=[\d.]+;normal=[\d.]+;roughness=[\d.]+", row["group_psnr"])


def test_a_source_that_changed_is_measured_again(gallery: Path, tmp_path: Path) -> None:
    words = arguments(gallery, tmp_path, "--codecs", "jpeg", "-q")
    assert main(words) == ExitCode.OK
    before = rows_of(tmp_path / "rd.csv")
    (gallery / "photo" / "one.png").write_bytes((gallery / "art_two.png").read_bytes())
    assert main(words) == ExitCode.OK
    after = rows_of(tmp_path / "rd.csv")
    assert [row["image"] for row in after] == [row["image"] for row in before]
    figures = {(row["image"], row["setting"]): row["psnr"] for row in after}
    assert all(
        figures["photo/one", setting] == psnr for (image, setting), psnr in figures.items() if image == "art_two"
    )


def test_a_loss_against_committed_rows_is_an_exit_code(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = arguments(gallery, tmp_path / "a", "--codecs", "jpeg")
    assert main(words) == ExitCode.OK
    committed = tmp_path / "committed.csv"
    committed.write_bytes((tmp_path / "a" / "rd.csv").read_bytes())
    assert main([*words, "--against", str(committed)]) == ExitCode.OK
    assert "ok: art_two jpeg 1: +0.000 dB, bytes +0.00 %" in capsys.readouterr().err
    better = committed.read_text().replace(rows_of(committed)[0]["psnr"], "60.000")
    (tmp_path / "better.csv").write_text(better)
    assert main([*words, "--against", str(tmp_path / "better.csv")]) == ExitCode.DIFFERS
    assert "1 of 22 rows lost" in capsys.readouterr().err
    assert main([*words[:-1], "webp", "--against", str(committed), "--output", str(tmp_path / "w")]) == ExitCode.PARTIAL


def test_a_codec_that_fails_is_named_and_the_rest_is_measured(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("out of ideas")

    monkeypatch.setattr("gscodec_bench.codecs.pillow.Jpeg.encode", fail)
    assert main(arguments(gallery, tmp_path, "--codecs", "jpeg,webp")) == ExitCode.PARTIAL
    error = capsys.readouterr().err
    assert "22 tasks failed, the first: art_two jpeg 1: RuntimeError: out of ideas" in error
    assert {row["codec"] for row in rows_of(tmp_path / "rd.csv")} == {"webp"}
    assert "RuntimeError: out of ideas" in (tmp_path / "rd.md").read_text()


def test_a_terminal_gets_a_bar(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(arguments(gallery / "photo", tmp_path, "--codecs", "jpeg")) == ExitCode.OK
    error = capsys.readouterr().err
    assert "one jpeg 1:" not in error  # the lines that a log would get
    assert "rd: 11 measured" in error


def test_unreadable_pictures_are_named(gallery: Path, tmp_path: Path) -> None:
    sources, _ = discover([gallery])
    plan = Plan(tuple(sources), codecs=("jpeg",), metrics=("psnr",), quick=True)
    done = run_suite(SUITES["rd"], plan, tmp_path)
    assert any(entry.name == "odd/empty" for entry in done.results.notes.skipped)
    assert done.outcome.measured == 22


def test_tables_come_without_plots_where_matplotlib_is_missing(
    gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gscodec_bench.plots.find_spec", lambda _: None)
    assert main(arguments(gallery / "photo", tmp_path, "--codecs", "jpeg", "-q")) == ExitCode.OK
    assert "plots: matplotlib is not installed: pip install" in (tmp_path / "rd.md").read_text()
    assert not list(tmp_path.glob("*.svg"))


def test_a_folder_without_pictures_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "--output", str(tmp_path / "out")]) == ExitCode.USAGE
    assert "holds nothing that rd measures" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--suite", "best"], ["--codecs", "gif"], ["--rates", "0"], ["--rates", "x"], ["--metrics", "vmaf"]],
)
def test_wrong_words_are_usage_errors(gallery: Path, tmp_path: Path, words: list[str]) -> None:
    assert main(arguments(gallery, tmp_path, *words)) == ExitCode.USAGE


def test_names_are_shown_without_what_a_terminal_obeys(
    gallery: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(gallery, tmp_path, "--suite", "\x1b[2J\u202e")) == ExitCode.USAGE
    assert r"\x1b[2J\u202e" in capsys.readouterr().err
