import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from program import Run


def test_the_page_is_served_until_it_is_interrupted(igs: Path) -> None:
    command = [sys.executable, "-m", "gscodec", "view", str(igs), "--no-browser"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so would this
    try:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        with urllib.request.urlopen(url) as page:
            assert b'"name": "picture.igs", "url": "/files/0"' in page.read()
        with urllib.request.urlopen(f"{url}files/0") as file:
            assert file.read() == igs.read_bytes()
        os.kill(running.pid, signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, errors) == (0, "stopped\n")


def test_nothing_to_show_is_one_line(run: Run, tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "missing.igs"):
        outcome = run("view", source, "--no-browser")
        assert (outcome.code, outcome.text, outcome.stderr.count("\n")) == (2, "", 1)


def test_a_page_beside_the_file(run: Run, igs: Path, tmp_path: Path) -> None:
    source = tmp_path / "rock.igs"
    source.write_bytes(igs.read_bytes())
    outcome = run("export", source, "--to", "html")
    page = tmp_path / "rock.html"
    assert outcome.code == 0
    assert outcome.text.startswith(f"{page}: html, ")
    assert 'id="data1"' in page.read_text("utf-8")
    assert run("export", source, "--to", "html").code == 2
    assert run("export", source, "--to", "html", "--overwrite").code == 0
    piped = run("export", "-", "--to", "html", stdin=igs.read_bytes())
    assert piped.code == 0
    assert piped.stdout.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    "option", [["--lod", "1"], ["--mips"], ["--bits", "8"], ["--only", "color"], ["--format", "bc7"]]
)
def test_options_of_textures_have_no_use_for_a_page(run: Run, igs: Path, tmp_path: Path, option: list[str]) -> None:
    outcome = run("export", igs, tmp_path / "page.html", "--to", "html", *option)
    assert outcome.code == 1
    assert "have no use" in outcome.stderr


def test_the_buffer_of_shaders_beside_the_file(run: Run, tmp_path: Path) -> None:
    vectors = Path(__file__).parents[2] / "spec" / "vectors"
    source = tmp_path / "rock.igs"
    source.write_bytes((vectors / "packed_rgb.igs").read_bytes())
    outcome = run("export", source, "--to", "words")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert (tmp_path / "rock.words").read_bytes().startswith(b"IGSS\x03\0\0\0")
    outcome = run("export", vectors / "coded_rgb.igs", tmp_path / "no.words", "--to", "words")
    assert outcome.code == 5
    assert "encode with --profile packed" in outcome.stderr


def test_what_is_no_igs_file_becomes_no_page(run: Run, picture: Path, tmp_path: Path) -> None:
    assert run("export", picture, tmp_path / "page.html", "--to", "html").code == 3
    assert not (tmp_path / "page.html").exists()


def test_a_page_compares_two_pictures(run: Run, igs: Path, picture: Path, tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    outcome = run("compare", picture, igs, "--html", page)
    assert outcome.code == 0
    text = page.read_text("utf-8")
    assert f'"figures": "{outcome.text.strip()}"' in text
    assert '"second": {"name": "picture.igs", "embedded": "data2"}' in text
    assert run("compare", picture, igs, "--html", page).code == 2
    assert run("compare", picture, igs, "--html", page, "--overwrite").code == 0
    assert run("compare", picture, "-", "--html", page, stdin=igs.read_bytes()).code == 1
