import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Run

LIMIT_SECONDS = 60.0
"""For each thing that is waited for."""


@contextlib.contextmanager
def viewing(*arguments: str | Path, **environment: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A running `gscodec view` without a screen, and the address that it printed; ended whatever happens."""
    command = [sys.executable, "-m", "gscodec", "view", *map(str, arguments)]
    screens = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}
    variables = {name: value for name, value in os.environ.items() if name not in screens} | environment
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so would this
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], LIMIT_SECONDS)
        if not ready:
            process.kill()
            pytest.fail(f"no address within {LIMIT_SECONDS} s: {process.communicate(timeout=LIMIT_SECONDS)}")
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_SECONDS)


def interrupted(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and stderr after Ctrl-C."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    return process.returncode, errors


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=LIMIT_SECONDS) as answer:
        body: bytes = answer.read()
    return body


def test_the_page_is_served_until_it_is_interrupted(igs: Path) -> None:
    with viewing(igs, "--no-browser") as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        assert b'"name": "picture.igs", "url": "/files/0"' in fetched(url)
        assert fetched(f"{url}files/0") == igs.read_bytes()
        assert interrupted(process) == (0, "stopped\n")


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="there is always a screen")
def test_without_a_screen_no_browser_of_the_terminal_is_started(igs: Path, tmp_path: Path) -> None:
    for name in ("www-browser", "links", "lynx", "w3m"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 600\n")
        (tmp_path / name).chmod(0o755)
    with viewing(igs, PATH=f"{tmp_path}:{os.environ['PATH']}") as (process, url):
        assert b"picture.igs" in fetched(url)
        code, errors = interrupted(process)
    assert code == 0
    assert errors.startswith("no screen to open a browser on")
    assert not (tmp_path / "started").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the browser is a script of the shell")
def test_a_browser_that_does_not_return_keeps_nobody_waiting(igs: Path, tmp_path: Path) -> None:
    browser, address, closed = (tmp_path / name for name in ("browser", "address", "closed"))
    os.mkfifo(address)
    os.mkfifo(closed)
    browser.write_text(f'#!/bin/sh\necho "$1" > {address}\nexec cat {closed} > /dev/null 2>&1\n')
    browser.chmod(0o755)
    pipe = os.open(address, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with viewing(igs, BROWSER=f"{browser} %s") as (process, url):
            ready, _, _ = select.select([pipe], [], [], LIMIT_SECONDS)
            assert ready, "no browser was started"
            assert os.read(pipe, 1000).decode().strip() == url
            assert b"picture.igs" in fetched(url)
            assert interrupted(process) == (0, "stopped\n")
    finally:
        os.close(pipe)
        with contextlib.suppress(OSError):  # it did not come so far
            os.close(os.open(closed, os.O_WRONLY | os.O_NONBLOCK))


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
    assert "writes no textures" in outcome.stderr


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
