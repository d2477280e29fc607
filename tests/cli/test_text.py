"""What is shown comes from strangers: no output obeys it, and no stream changes the result."""

import csv
import io
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from named_stack import stack_of
from PIL import Image
from program import Run

from gscodec.io.text import csv_cell, csv_text, html_text, json_text, shown
from gscodec.model.hidden_characters import has_hidden

CASES = Path(__file__).parents[1] / "corrupt" / "cases"
QUICK = ("--gaussians", "20", "--preset", "fast", "--steps", "10", "--lods", "1", "-q")
EVIL = "a\x1b]0;pwned\x07\x9b31m\u202egnp\u200b\n\rx"


def assert_harmless(text: str) -> None:
    """Nothing in it but visible characters, spaces and line ends."""
    for char in text.replace("\n", ""):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}, ascii(char)
    assert not has_hidden(text.replace("\n", ""))


@given(st.text(st.characters()))
def test_any_text_is_shown_harmlessly_in_one_line(text: str) -> None:
    result = shown(text)
    assert_harmless(result)
    assert "\n" not in result
    assert shown(result) == result


def test_what_is_shown() -> None:
    assert shown("Ångström 日本 C:\\x [1] 50 %") == "Ångström 日本 C:\\x [1] 50 %"
    assert shown(EVIL) == r"a\x1b]0;pwned\x07\x9b31m\u202egnp\u200b\n\rx"
    assert shown(os.fsdecode(b"caf\xe9.png")) == r"caf\xe9.png"
    assert shown("\ue000\U000e0041") == r"\ue000\U000e0041"


@given(st.recursive(st.text(st.characters()) | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=3)))
def test_json_stays_json(value: Any) -> None:
    for encoding in ("utf-8", "ascii", "cp1252"):
        text = json_text({"k": value}, indent=1, encoding=encoding)
        assert json.loads(text) == {"k": value}
        assert_harmless(text)
        text.encode(encoding)


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.from_regex(r"'*[=+\-@\t\r]"))
def test_no_cell_is_a_formula(text: str) -> None:
    cell = csv_cell(text)
    assert csv_text(cell) == text
    if cell and cell[0] in "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20":
        float(cell)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("-0.5", "-0.5"),
        ("+x", "'+x"),
        ("@a", "'@a"),
        ("a=b", "a=b"),
        ("a;=b", "a;'=b"),
        ("a\t-2", "a\t'-2"),
    ],
)
def test_known_cells(text: str, cell: str) -> None:
    assert csv_cell(text) == cell
    assert csv_cell(-3) == -3


def test_html() -> None:
    assert html_text('<b>"&\u202e') == "&lt;b&gt;&quot;&amp;\\u202e"


def test_metadata_is_not_obeyed(run: Run) -> None:
    outcome = run("info", CASES / "meta_esc.igs")
    assert outcome.code == 0
    assert_harmless(outcome.text)
    assert r"meta      encoder: \x1b]0;pwned\x07\x1b[2J evil" in outcome.text.splitlines()
    assert r"meta      preset: x\ny\rspoof" in outcome.text.splitlines()
    outcome = run("info", CASES / "meta_esc.igs", "--json")
    assert_harmless(outcome.text)
    assert json.loads(outcome.text)["meta"]["encoder"] == "\x1b]0;pwned\x07\x1b[2J evil"


def test_names_of_files_are_not_obeyed(run: Run, igs: Path, tmp_path: Path) -> None:
    folder = tmp_path / EVIL
    folder.mkdir()
    evil = folder / f"{EVIL}.igs"
    evil.write_bytes(igs.read_bytes())
    damaged = folder / f"d{EVIL}.igs"
    damaged.write_bytes(igs.read_bytes()[:-5] + b"abcde")
    picture = folder / f"p{EVIL}.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
    for command in (
        ["info", evil],
        ["info", evil, "--json"],
        ["validate", evil],
        ["validate", damaged],
        ["validate", damaged, "--json"],
        ["decode", evil, evil],
        ["decode", evil],
        ["decode", evil],
        ["encode", picture, *QUICK[:-1]],
        ["encode", picture],
        ["encode", folder / f"missing{EVIL}.png", *QUICK],
        ["encode", folder, *QUICK],
        ["sample", evil, "--at", EVIL],
        ["sample", evil, "--at", "1,1", "--format", "csv", "--stats"],
        ["compare", picture, evil, "--json"],
        ["compare", picture, damaged],
        ["export", evil, "--to", "png"],
        ["export", evil, EVIL, "--to", EVIL],
        ["decode", evil, "--only", EVIL],
        ["decode", f"http://127.0.0.1:9/{EVIL}.igs"],
        [EVIL],
        ["info", evil, f"--{EVIL}"],
        ["batch", folder, tmp_path / "out", *QUICK[:6]],
        ["batch", folder, tmp_path / "out", *QUICK[:6], "--dry-run"],
        ["batch", folder, tmp_path / "out", *QUICK[:6], "--json"],
        ["batch", "--decode", folder, tmp_path / "back"],
    ):
        outcome = run(*command)
        for text in (outcome.text, outcome.stderr):
            assert_harmless(text)
        assert "Traceback" not in outcome.stderr
        assert "a fault of gscodec" not in outcome.stderr, (command, outcome.stderr)
        if outcome.code not in {0, 3, 9}:
            assert len(outcome.stderr.splitlines()) <= 3, outcome.stderr


def test_reports_of_a_batch(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    names = ["=cmd|' C calc'!A0", "+a", "@sum", "-2x", "<script>alert(1)</script>".replace("/", "_"), "x\x1b[2J"]
    for name in names:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(source / f"{name}.png")
    (source / "=broken.png").write_bytes(b"nothing")
    reports = [tmp_path / f"r.{kind}" for kind in ("csv", "html", "json")]
    options = [word for path in reports for word in ("--report", path)]
    assert run("batch", source, tmp_path / "out", *QUICK[:6], *options).code == 9
    table, page, facts = (path.read_text(encoding="utf-8") for path in reports)
    for text in (table, page, facts):
        assert_harmless(text)
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {row["name"] for row in rows} >= {"'=cmd|' C calc'!A0", "'+a", "'@sum", "'-2x", "'=broken", r"x\x1b[2J"}
    for row in rows:
        assert not any(cell[:1] in {"=", "+", "@", "\t", "\r"} for cell in row.values())
    assert "<script" not in page
    assert {row["name"] for row in json.loads(facts)["outcomes"]} == {*names, "=broken"}


def test_channels_in_the_header_of_a_table(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.igs"
    path.write_bytes(stack_of(["=1+1", "a,b", '"q"']))
    outcome = run("sample", path, "--at", "1,1", "--format", "csv")
    (head, values) = csv.reader(io.StringIO(outcome.text))
    assert head == ["x", "y", "'=1+1.0", "a,b.0", '"q".0']
    assert len(values) == len(head)


# ---- streams

PROGRAM = [sys.executable, "-m", "gscodec"]


def shell(words: list[Any], redirections: str, cwd: Path, encoding: str = "utf-8") -> tuple[int, bytes, str]:
    """Exit code, stdout and stderr of the program in a shell."""
    line = " ".join(["exec", *(f"'{word}'" for word in [*PROGRAM, *words]), redirections])
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(["bash", "-c", line], capture_output=True, cwd=cwd, env=env, check=False)
    return done.returncode, done.stdout, done.stderr.decode(encoding)


COMMANDS = [["info", "a.igs"], ["sample", "a.igs", "--at", "1,1"], ["decode", "a.igs", "-"], ["--help"]]


@pytest.fixture(scope="module")
def shelf(igs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "a.igs").write_bytes(igs.read_bytes())
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.png")
    return folder


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_stdout_that_takes_nothing(shelf: Path, words: list[str]) -> None:
    for redirection in (">&-", ">/dev/full"):
        code, _, stderr = shell(words, redirection, shelf)
        assert (code, len(stderr.splitlines())) == (2, 1), (redirection, stderr)
        assert stderr.startswith("gscodec: error: ")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_stdout_that_nobody_reads(shelf: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([*PROGRAM, *words], stdout=writing, stderr=subprocess.PIPE, cwd=shelf, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert done.stderr.startswith(b"gscodec: error: stdout: ")


def test_streams_that_are_not_needed_change_nothing(shelf: Path) -> None:
    cases: list[tuple[list[Any], int]] = [
        (["validate", "a.png"], 3),
        (["decode", "a.igs", "out.png", "--stats", "--overwrite"], 0),
    ]
    for words, expected in cases:
        plain = shell(words, "", shelf)
        assert plain[0] == expected, plain
        for redirection in ("2>&-", "2>/dev/full"):
            assert shell(words, redirection, shelf)[:2] == plain[:2], (words, redirection)
    target = shelf / "out.png"
    whole = target.read_bytes()
    for redirection in (">&-", "<&- >&- 2>&-"):
        target.unlink()
        assert shell(cases[1][0], redirection, shelf)[0] == 0
        assert target.read_bytes() == whole  # nothing that was printed went into it


def test_a_stdin_that_is_closed_is_one_line(shelf: Path) -> None:
    for words in (["info", "-"], ["compare", "-", "a.png"], ["sample", "a.igs"]):
        code, _, stderr = shell(words, "<&-", shelf)
        assert (code, len(stderr.splitlines())) == (2, 1), stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_encodings_that_lack_a_character(shelf: Path, igs: Path, encoding: str) -> None:
    name = "日本_é_\U0001f600.igs"
    (shelf / name).write_bytes(igs.read_bytes())
    for words in (["info", name], ["info", name, "--json"], ["info", f"no_{name}"], ["decode", name, "x", "--help"]):
        code, stdout, stderr = shell(words, "", shelf, encoding)
        assert code == (2 if words[1:] == [f"no_{name}"] else 0), stderr
        text = stdout.decode(encoding)
        if "--json" in words:
            assert isinstance(json.loads(text), dict)


@pytest.mark.skipif(sys.platform != "linux", reason="the system's names are text")
def test_names_that_are_not_utf_8_work(shelf: Path, igs: Path) -> None:
    folder = os.fsencode(shelf) + b"/odd"
    (shelf / "odd").mkdir()
    (shelf / "odd" / os.fsdecode(b"caf\xe9.igs")).write_bytes(igs.read_bytes())

    def run(*words: bytes | str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run([*PROGRAM, *words], cwd=folder, capture_output=True, check=False)
        assert b"Traceback" not in done.stderr
        return done

    done = run("info", b"caf\xe9.igs")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, rb"caf\xe9.igs: .igs 1.0, profile coded")
    assert json.loads(run("info", b"caf\xe9.igs", "--json").stdout)
    assert run("decode", b"caf\xe9.igs").returncode == 0
    assert (shelf / "odd" / os.fsdecode(b"caf\xe9.png")).is_file()
    assert run("info", b"none\xff.igs").stderr.startswith(rb"gscodec: error: none\xff.igs")
