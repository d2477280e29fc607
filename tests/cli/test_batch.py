import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import Run
from random_contents import random_contents

import gscodec
from gscodec.container.writer import pack
from gscodec.model.grain import Grain

QUICK = ("--gaussians", 20, "--preset", "fast", "--steps", 5, "--jobs", 1)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = tmp_path / "src"
    (source / "a").mkdir(parents=True)
    for number, name in enumerate(("x.png", "a/y.png")):
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(np.kron(pixels, np.ones((6, 6, 1), np.uint8))).save(source / name)
    return source


def test_there_and_back(run: Run, tree: Path, tmp_path: Path) -> None:
    (tree / "bad.png").write_bytes(b"no picture")
    packed, report = tmp_path / "packed", tmp_path / "r.json"
    outcome = run("batch", tree, packed, *QUICK, "--report", report)
    assert outcome.code == 9
    assert "1 of 3 items failed" in outcome.stderr
    written = json.loads(report.read_text())
    assert written["by_status"] == {"encoded": 2, "failed": 1}
    (tree / "bad.png").unlink()
    outcome = run("batch", tree, packed, *QUICK, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.text)["by_status"] == {"current": 2}
    back = tmp_path / "back"
    assert run("batch", "--decode", packed, back, "--jobs", 1).code == 0
    assert sorted(path.relative_to(back).as_posix() for path in back.rglob("*.png")) == ["a/y.png", "x.png"]
    outcome = run("batch", "--decode", packed, back, "--jobs", 1)
    assert (outcome.code, "2 current" in outcome.stderr) == (0, True)


def test_plans_and_job_files_do_nothing(run: Run, tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "packed"
    outcome = run("batch", tree, target, "--bpp", "0.5", "--dry-run")
    assert outcome.code == 0
    assert "waiting  a/y: y.png (bpp 0.5, balanced)" in outcome.text
    one, two = (run("batch", tree, target, "--dry-run", "--shard", f"{n}/2").text for n in (1, 2))
    assert sorted((one + two).splitlines()) == sorted(run("batch", tree, target, "--dry-run").text.splitlines())
    assert run("batch", tree, target, "--emit", "slurm").text.startswith("#!/bin/bash\n")
    assert json.loads(run("batch", tree, target, "--emit", "openjd").text)["name"] == "gscodec batch"
    assert not target.exists()


def test_a_dry_run_finds_what_is_misspelt(run: Run, tree: Path, tmp_path: Path) -> None:
    outcome = run("batch", tree, tmp_path / "o", "--exclude", "*_preveiw.*", "--dry-run")
    assert outcome.code == 1
    assert "warning: exclude '*_preveiw.*' matches no file" in outcome.stderr
    outcome = run("batch", tree, tmp_path / "o", *QUICK, "--exclude", "*_preveiw.*")
    assert (outcome.code, "matches no file" in outcome.stderr) == (0, True)
    for way in (("--dry-run",), ()):
        outcome = run("batch", "--decode", tmp_path / "o", tmp_path / "b", "--jobs", 1, "--include", "z*", *way)
        assert outcome.code == 2
        assert "contains no .igs files" in outcome.stderr


def test_metadata_is_kept_or_left_out(run: Run, tree: Path, tmp_path: Path) -> None:
    with Image.open(tree / "x.png") as image:
        image.save(tree / "x.png", dpi=(300, 300))
    for options, density in (((), 300), (("--metadata", "none"), None), (("--metadata", "all"), 300)):
        outcome = run("batch", tree, tmp_path / "o", *QUICK, *options)
        assert (outcome.code, "current" in outcome.stderr) == (0, False)
        with gscodec.open(tmp_path / "o" / "x.igs") as image:
            found = image.metadata.density
        assert (found and round(found[0])) == density
    outcome = run("batch", "--decode", tmp_path / "o", tmp_path / "b", "--metadata", "none")
    assert (outcome.code, "--metadata: cannot be combined" in outcome.stderr) == (1, True)
    assert run("batch", tree, tmp_path / "o", "--metadata", "some").code == 1


def test_shards_go_both_ways(run: Run, tree: Path, tmp_path: Path) -> None:
    packed, target = tmp_path / "o", tmp_path / "b"
    for number in range(1, 4):
        assert run("batch", tree, packed, *QUICK, "--shard", f"{number}/3").code == 0
    assert "2 current" in run("batch", tree, packed, *QUICK).stderr
    for number in range(1, 4):
        assert run("batch", "--decode", packed, target, "--jobs", 1, "--shard", f"{number}/3").code == 0
    assert "2 current" in run("batch", "--decode", packed, target, "--jobs", 1).stderr
    assert sorted(path.name for path in target.rglob("*.png")) == ["x.png", "y.png"]


def test_grain_is_left_out_on_request(run: Run, tmp_path: Path) -> None:
    """What was decoded with grain is not current without it, and the other way round."""
    contents = random_contents(60, 3, (40, 50), (60,))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.igs").write_bytes(pack(replace(contents, grain=(Grain(0, 5, 120, (80,) * 8),))))
    pixels = {}
    for way, status in ((), "decoded"), (("--no-grain",), "decoded"), (("--no-grain",), "current"), ((), "decoded"):
        outcome = run("batch", "--decode", tmp_path / "in", tmp_path / "out", "--jobs", 1, *way)
        assert (outcome.code, f"1 {status}" in outcome.stderr) == (0, True)
        pixels[way] = np.asarray(Image.open(tmp_path / "out" / "x.png"))
        with gscodec.open(tmp_path / "in" / "x.igs", grain=not way) as image:
            np.testing.assert_array_equal(pixels[way], image.render())
    assert (pixels[()] != pixels["--no-grain",]).any()


def test_a_missed_target_has_its_exit_code_every_time(run: Run, tree: Path, tmp_path: Path) -> None:
    for _ in range(2):
        outcome = run("batch", tree, tmp_path / "o", "--size", "60", "--preset", "fast", "--steps", 5, "--jobs", 1)
        assert outcome.code == 8
        assert "size was not met" in outcome.stderr


def test_what_is_left_out_is_said(run: Run, tree: Path, tmp_path: Path) -> None:
    (tree / "link").symlink_to(tree / "a")
    (tree / "x.psd").write_bytes(b"8BPS" + bytes(20))
    outcome = run("batch", tree, tmp_path / "o", "--dry-run")
    assert outcome.code == 0
    assert "warning: left out: link: is a link to a folder" in outcome.stderr
    assert "warning: left out: x.psd: Photoshop pictures are not read" in outcome.stderr


def test_a_budget_for_all(run: Run, tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "packed"
    outcome = run("batch", tree, target, "--total-size", "5kB", "--preset", "fast", "--steps", 5, "--jobs", 1)
    assert outcome.code == 0
    assert 4000 <= sum(path.stat().st_size for path in target.rglob("*.igs")) <= 5000


def test_a_budget_that_flat_pictures_cannot_use_is_for_the_others(run: Run, tree: Path, tmp_path: Path) -> None:
    Image.new("RGB", (24, 24), (9, 8, 7)).save(tree / "flat.png")
    Image.new("L", (1, 1), 200).save(tree / "dot.png")
    options = ("--preset", "fast", "--steps", 5, "--jobs", 1)
    outcome = run("batch", tree, tmp_path / "o", "--total-size", "2200", *options)
    assert outcome.code == 0
    assert 0.9 * 2200 <= sum(path.stat().st_size for path in (tmp_path / "o").rglob("*.igs")) <= 2200
    outcome = run("batch", tree, tmp_path / "much", "--total-size", "90kB", *options)
    assert (outcome.code, "of 90000 bytes are used" in outcome.stderr) == (0, True)


@pytest.mark.parametrize(
    ("head", "tail", "arguments", "where"),
    [
        ('total_size = "5kB"\nbppc = 0.2', "", (), "manifest: bppc"),
        ('total_size = "5kB"', "", ("--psnr", "30"), "command line: psnr"),
        ("bpp = 1", "", ("--total-size", "5kB"), "manifest: bpp"),
        ('total_size = "5kB"', '[[rule]]\nmatch = "a/*"\nsize = 900', (), "rule 'a/*': size"),
        ("", '[[item]]\nname = "z"\nfiles = ["x.png"]\ngaussians = 9', ("--total-size", "5kB"), "item z: gaussians"),
    ],
)
def test_a_budget_for_all_and_a_target_are_one_too_many(
    run: Run, tree: Path, tmp_path: Path, head: str, tail: str, arguments: tuple[str, ...], where: str
) -> None:
    manifest = tmp_path / "m.toml"
    manifest.write_text(f'source = "{tree.name}"\noutput = "o"\n{head}\n{tail}\n')
    outcome = run("batch", manifest, "--dry-run", *arguments)
    assert (outcome.code, outcome.stderr.count("\n")) == (1, 1)
    assert f"{where} and a total size of all files exclude each other" in outcome.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("--bpp", "1", "--psnr", "30"), "give one of --bpp"),
        (("--engine", "dask"), "needs --scheduler"),
        (("--gpus",), "go with --engine dask"),
        (("--decode", "--bpp", "1"), "--bpp: cannot be combined with --decode"),
        (("--decode", "--cache", "c"), "--cache: cannot be combined with --decode"),
        (("--shard", "3/2"), "write i/n"),
        (("--report", "r.txt"), "suffix of a report"),
    ],
)
def test_what_cannot_be_asked(run: Run, tree: Path, tmp_path: Path, arguments: tuple[str, ...], fact: str) -> None:
    outcome = run("batch", tree, tmp_path / "o", *arguments)
    assert outcome.code == 1
    assert fact in outcome.stderr


@pytest.mark.parametrize("kind", ["link", "hard link", "link to a manifest"])
def test_a_report_is_never_a_source(run: Run, tree: Path, tmp_path: Path, kind: str) -> None:
    report, source, arguments = tmp_path / "r.json", tree / "x.png", [tree, tmp_path / "o"]
    if kind == "link to a manifest":
        source = tmp_path / "m.toml"
        source.write_text("output = 'o'\nsource = 'src'\n")
        arguments = [source]
    (report.hardlink_to if kind == "hard link" else report.symlink_to)(source)
    before = source.read_bytes()
    outcome = run("batch", *arguments, *QUICK, "--report", report)
    assert (outcome.code, outcome.stderr.count("\n")) == (1, 1)
    assert "is the same file as the input" in outcome.stderr
    assert source.read_bytes() == before


def test_a_report_of_a_decode_is_none_of_its_files(run: Run, igs: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.igs").write_bytes(igs.read_bytes())
    (tmp_path / "r.csv").symlink_to(tmp_path / "in" / "a.igs")
    outcome = run("batch", "--decode", tmp_path / "in", tmp_path / "o", "--report", tmp_path / "r.csv")
    assert (outcome.code, "is the same file as the input" in outcome.stderr) == (1, True)
    assert (tmp_path / "in" / "a.igs").read_bytes() == igs.read_bytes()


def test_a_report_that_cannot_be_written_costs_no_work(run: Run, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    for report in ("none/r.json", "folder.json"):
        outcome = run("batch", tree, tmp_path / "o", *QUICK, "--report", tmp_path / report)
        assert (outcome.code, outcome.stderr.count("\n")) == (2, 1)
        assert not (tmp_path / "o").exists()


def test_reports_have_the_errors_of_each_map(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    y, x = np.mgrid[0:24, 0:24] / 24
    slopes = np.stack([0.4 * np.sin(6 * x), 0.4 * np.cos(5 * y)], axis=2)
    normals = np.dstack([slopes, np.sqrt(1 - np.square(slopes).sum(axis=2))])
    for name, values in (("rock_albedo", np.dstack([x, y, 1 - x])), ("rock_normal", 0.5 + 0.5 * normals)):
        Image.fromarray(np.asarray(255 * values + 0.5, np.uint8)).save(tmp_path / "in" / f"{name}.png")
    Image.fromarray(np.asarray(np.where(x > 0.5, 255, 0), np.uint8)).save(tmp_path / "in" / "rock_opacity.png")
    html, rows, json_report = (tmp_path / f"report.{suffix}" for suffix in ("html", "csv", "json"))
    reports = (word for path in (html, rows, json_report) for word in ("--report", path))
    how = ("--gaussians", 90, "--preset", "fast", "--steps", 60, "-j", 1, "--threads", 1, *reports, "--quiet")
    for _ in range(2):  # the second run knows them from its notes
        assert run("batch", tmp_path / "in", tmp_path / "out", *how).code == 0
        text = html.read_text(encoding="utf-8")
        assert re.search(r"rock_albedo.png<br>albedo, 24x24, 3 ch<br>\d+\.\d\d dB<", text)
        assert re.search(r"rock_normal.png<br>normal, 24x24, 3 ch<br>\d+\.\d\d dB, \d+\.\d\d deg<", text)
        (outcome,) = json.loads(json_report.read_text())["outcomes"]
        figures = outcome["map_figures"]
        assert figures.keys() == {"albedo", "normal", "opacity"}
        assert figures["albedo"].keys() == {"psnr"}
        assert 15 < figures["albedo"]["psnr"] < 80
        assert 0 < figures["normal"]["angle_deg"] < 20
        (row,) = csv.DictReader(io.StringIO(rows.read_text()))
        angle, psnr = figures["normal"]["angle_deg"], figures["normal"]["psnr"]
        assert f"normal: {psnr:.2f} dB, {angle:.2f} deg" in row["map_figures"]
        assert f"albedo: {figures['albedo']['psnr']:.2f} dB, " in row["map_figures"]
