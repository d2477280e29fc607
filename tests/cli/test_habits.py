"""Estimates, progress, interrupts and watching."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from interrupts import on_terminal
from PIL import Image
from program import Run

import gscodec
from gscodec.batch.changes import runs, snapshot
from gscodec.batch.outcome import Outcome, Status
from gscodec.cli._batch_progress import BatchProgress
from gscodec.encoding.estimate import estimate
from gscodec.encoding.progress import Progress

PROGRAM = (sys.executable, "-m", "gscodec.cli")


@pytest.fixture
def folder(tmp_path: Path, picture: Path) -> Path:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a", "b"):
        (source / f"{name}.png").write_bytes(picture.read_bytes())
    return source


def noise(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("width", ["60", "80", "200"])
@pytest.mark.parametrize("command", ["encode", "decode", "batch", "export", "compare"])
def test_help_fits_into_80_columns(run: Run, command: str, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    lines = run(command, "--help").text.splitlines()
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (("--size", "700"), r"at most 700 bytes, 3\.6458 bpp, about [^;]+; not written"),
        (("--gaussians", "40"), r"about \d+ bytes, .* bpp, 40 Gaussians, about [^;]+; not written"),
        (("--quality", "40"), r"about \d+ bytes, .* bpp, \d+ Gaussians, about [^;]+; not written"),
    ],
)
def test_a_dry_run_estimates_and_writes_nothing(
    run: Run, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], pattern: str
) -> None:
    monkeypatch.setattr("gscodec.encoding.estimate.PATIENCE_SECONDS", 0.1)
    outcome = run("encode", picture, tmp_path / "a.igs", *options, "--steps", "100000", "--lods", "1", "--dry-run")
    assert outcome.code == 0
    assert re.search(pattern, outcome.text), outcome.text
    assert not list(tmp_path.iterdir())


def test_an_estimate_of_an_encode_that_ends_meanwhile_is_its_result() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    settings = gscodec.EncodeSettings(quality=30, steps=4, lods=1)
    expected = estimate(samples, settings, n_pixels=32 * 48, n_channels=3, patience=1000)
    result = gscodec.encode(samples, settings=settings)
    assert (expected.n_bytes, expected.n_gaussians) == (len(result.data), result.n_gaussians)


def test_a_quality_is_planned_before_the_fit_begins() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    seen: list[Progress] = []
    result = gscodec.encode(samples, quality=30, steps=4, lods=1, profile="coded", progress=seen.append)
    assert seen[0].phase == "plan"
    assert seen[0].fraction == 0
    assert 0.3 < seen[0].n_gaussians / result.n_gaussians < 3
    assert 0.3 < seen[0].bpp / result.bpp < 3


def test_a_dry_run_of_a_batch_estimates_the_whole(run: Run, folder: Path, tmp_path: Path) -> None:
    outcome = run("batch", folder, tmp_path / "out", "--gaussians", "20", "--steps", "3", "--jobs", "1", "--dry-run")
    assert outcome.code == 0
    assert re.search(
        r"estimate: 2 files of 0\.0 megapixels take about \d+ bytes and \d+ s, 1 in parallel", outcome.stderr
    )
    assert not (tmp_path / "out").exists()
    quiet = run("batch", folder, tmp_path / "out", "--gaussians", "20", "--dry-run", "--quiet")
    assert "estimate" not in quiet.stderr


def test_finished_items_have_lines_with_their_place_and_the_time_left(run: Run, folder: Path, tmp_path: Path) -> None:
    options = ("--gaussians", "20", "--steps", "3", "--lods", "1", "--jobs", "1")
    lines = run("batch", folder, tmp_path / "out", *options).stderr.splitlines()
    assert re.fullmatch(r"encoded  a: \d+ bytes, .* dB, .* s  \[1/2, \d+ s left\]", lines[0])
    assert re.fullmatch(r"encoded  b: \d+ bytes, .* dB, .* s  \[2/2\]", lines[1])


def test_progress_of_a_batch_never_falls_and_counts_no_time_for_what_was_current(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("gscodec.cli._batch_progress.time.perf_counter", lambda: now[0])
    progress = BatchProgress(4, quiet=False)
    assert progress.end(Outcome("a", Status.CURRENT)) == []
    assert progress.whole == "1/4"
    progress.begin("b")
    now[0] = 10.0
    progress.advance("b", 0.5)
    progress.advance("b", 0.4)
    assert (progress.done, progress.seconds_left) == (1.5, 50.0)
    assert progress.interrupted() == (
        "interrupted: 1 of 4 items are finished (1 current), 1 in progress were dropped; "
        "the same command continues with the rest"
    )
    (line,) = progress.end(Outcome("b", Status.ENCODED, n_bytes=5, seconds=20.0))
    assert line == "encoded  b: 5 bytes, 20.0 s  [2/4, 20 s left]"
    assert progress.whole == "2/4  20 s left"


@pytest.mark.parametrize("checkpoint", [False, True])
def test_an_interrupted_encode_says_what_was_done(tmp_path: Path, checkpoint: bool) -> None:
    source = noise(tmp_path / "noise.png")
    options = ["--checkpoint", str(tmp_path / "c"), "--block", "64"] if checkpoint else []
    with on_terminal(
        [*PROGRAM, "encode", str(source), "--gaussians", "500", "--steps", "1000000", *options]
    ) as program:
        program.until("dB")
        code, _, shown = program.interrupt()
    assert code == 130
    assert re.search(r"error: interrupted after \d+ s, \d+ % done.*; nothing was written", shown)
    assert ("the same command continues" in shown) == checkpoint
    assert not list(tmp_path.glob("*.igs"))


def test_an_interrupted_batch_says_what_was_done(folder: Path, tmp_path: Path) -> None:
    command = [*PROGRAM, "batch", str(folder), str(tmp_path / "out"), "--gaussians", "500", "--steps", "1000000"]
    with on_terminal(command) as program:
        program.until("0/2")
        code, _, shown = program.interrupt()
    assert code == 130
    assert "interrupted: 0 of 2 items are finished" in shown
    assert "the same command continues with the rest" in shown


def test_a_batch_runs_again_when_files_have_come_to_rest(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "in" / "out"
    target.mkdir(parents=True)
    report = source / "report.html"
    written = [
        ("a.png", "1"), None, ("a.png", "22"), ("b.png", "3"), None, ("out/a.igs", "4"), ("report.html", "5"), None,
        ("c.png", "6"),
    ]  # fmt: skip
    writes = iter(written)
    sleeps = []

    def sleep(_: float) -> None:
        write = next(writes, None)
        sleeps.append(write)
        if write is not None:
            (source / write[0]).write_text(write[1])
        assert len(sleeps) < 12

    seen = zip(range(4), runs(source, [target, report], sleep), strict=False)
    assert [len(sleeps) for _ in seen] == [0, 2, 5, 10]


def test_what_the_batch_does_not_read_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("1")
    before = snapshot(tmp_path, [tmp_path])  # the pictures' own folder may be that of the files
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("1")
    (tmp_path / ".gscodec-batch.jsonl").write_text("1")
    assert snapshot(tmp_path, [tmp_path]) == before
    (tmp_path / "b.png").write_text("1")
    assert snapshot(tmp_path, [tmp_path]) != before


def test_what_comes_while_a_batch_runs_is_taken_by_the_next_run(tmp_path: Path) -> None:
    sleeps = []

    def sleep(_: float) -> None:
        sleeps.append(1)
        assert len(sleeps) < 9

    for run in zip(range(2), runs(tmp_path, [], sleep), strict=False):
        if run[0] == 0:
            (tmp_path / "a.png").write_text("1")
    assert len(sleeps) == 2


def test_a_manifest_is_watched_with_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("1")
    manifest = tmp_path / "list.toml"
    manifest.write_text('output = "out"\n[[item]]\nname = "a"\nfiles = ["x.png"]\n')
    assert {Path(path).name for path, _, _ in snapshot(manifest, [])} == {"list.toml", "x.png"}
    manifest.write_text("half a li")
    assert {Path(path).name for path, _, _ in snapshot(manifest, [])} == {"list.toml"}


def test_a_watched_batch_encodes_what_is_added(folder: Path, tmp_path: Path, picture: Path) -> None:
    out = tmp_path / "out"
    options = ["--gaussians", "20", "--steps", "3", "--lods", "1", "--jobs", "1", "--watch"]
    with on_terminal([*PROGRAM, "batch", str(folder), str(out), *options]) as program:
        program.until("watching for changes")
        (folder / "c.png").write_bytes(picture.read_bytes())
        program.until("watching for changes")
        code, _, _ = program.interrupt()
    assert code == 130
    assert {path.name for path in out.glob("*.igs")} == {"a.igs", "b.igs", "c.igs"}


def test_an_html_report_has_thumbnails_and_links(run: Run, folder: Path, tmp_path: Path, picture: Path) -> None:
    for kind in ("albedo", "roughness"):
        Image.open(picture).convert("RGB" if kind == "albedo" else "L").save(folder / f"rock_{kind}.png")
    (folder / "a.png").rename(folder / "a 1%.png")
    report = tmp_path / "report.html"
    options = ("--gaussians", "20", "--steps", "3", "--lods", "1", "--report", report)
    assert run("batch", folder, tmp_path / "out", *options).code == 0
    text = report.read_text(encoding="utf-8")
    assert text.count('<img src="data:image/png;base64,') == 4
    assert 'href="out/a%201%25.igs"' in text
    assert "rock_roughness.png<br>roughness, 48x32, 1 ch" in text
