import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from interrupts import on_terminal
from PIL import Image
from program import Run

import gscodec.format
from gscodec.cli.app import app
from gscodec.format.layout import VERSION
from gscodec.render.cpu import available_isas

COMMANDS = (
    *("encode", "decode", "export", "import", "gltf", "batch", "info", "validate", "transcode", "sample", "compare"),
    *("view", "config"),
)
PROGRAM = (sys.executable, "-m", "gscodec.cli")


def test_help_lists_every_command(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    assert outcome.stderr == ""
    for name in COMMANDS:
        assert f"\n  {name} " in outcome.text
    assert "Exit codes" in outcome.text


def test_without_a_command_the_help_goes_to_stderr(run: Run) -> None:
    outcome = run()
    assert outcome.code == 1
    assert outcome.stdout == b""
    assert "Commands:" in outcome.stderr


def test_version(run: Run) -> None:
    outcome = run("--version")
    format_version = ".".join(map(str, VERSION))
    build = f"format {format_version}, CPU engine {available_isas()[-1]}, Python {platform.python_version()}"
    assert (outcome.code, outcome.text) == (0, f"gscodec {gscodec.__version__} ({build})\n")


def test_every_option_and_argument_is_explained() -> None:
    root: Any = typer.main.get_command(app)
    assert tuple(root.commands) == COMMANDS
    for name in COMMANDS:
        command = root.commands[name]
        assert command.help
        for parameter in command.params:
            assert parameter.help, f"{name}: {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_have_help_of_their_own(run: Run, name: str) -> None:
    outcome = run(name, "--help")
    assert outcome.code == 0
    assert outcome.text.startswith(f"Usage: gscodec {name} ")
    assert run(name, "-h").text == outcome.text


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["--bogus"],
        ["decode"],
        ["decode", "x.igs", "--bogus"],
        ["decode", "x.igs", "--lod", "one"],
        ["decode", "x.igs", "--lod", "-1"],
        ["decode", "x.igs", "--bits", "12"],
        ["decode", "x.igs", "--region", "1,2,3"],
        ["decode", "x.igs", "--size", "640"],
        ["decode", "x.igs", "--size", "4x4", "--scale", "2"],
        ["decode", "x.igs", "--scale", "0"],
        ["decode", "x.igs", "--scale", "nan"],
        ["encode", "x.png", "--quality", "101"],
        ["encode", "x.png", "--bpp", "1", "--size", "10k"],
        ["encode", "x.png", "--bpp", "much"],
        ["encode", "x.png", "--size", "-1"],
        ["encode", "x.png", "--bpp", "1", "--preset", "huge"],
        ["encode", "x.png", "--bpp", "1", "--lods", "0"],
        ["encode", "x.png", "--bpp", "1", "--threads", "0"],
        ["export", "x.igs"],
        ["export", "x.igs", "--to", "tga"],
        ["export", "x.igs", "--to", "png", "--format", "bc7"],
        ["export", "x.igs", "--to", "dds", "--format", "bc7", "--bits", "16"],
        ["export", "x.igs", "--to", "exr", "--bits", "8"],
        ["compare", "x.png"],
        ["compare", "-", "-"],
        ["sample", "x.igs", "--at", "1"],
        ["sample", "-"],
    ],
)
def test_usage_errors(run: Run, arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 1
    assert outcome.stdout == b""
    assert outcome.stderr.startswith("gscodec: error: ")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ZeroDivisionError("by zero"), 4, "ZeroDivisionError: by zero"),
        (MemoryError(), 4, "out of memory"),
        (PermissionError(13, "Permission denied", "x"), 2, "x: Permission denied"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_faults_inside_a_verb_are_one_line(
    run: Run, igs: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    def fail(_reader: object) -> None:
        raise error

    monkeypatch.delenv("GSCODEC_DEBUG", raising=False)
    monkeypatch.setattr("gscodec.container.describe.describe", fail)
    outcome = run("info", igs)
    assert outcome.code == code
    assert text in outcome.stderr
    assert outcome.stderr.count("\n") <= 1
    assert "Traceback" not in outcome.stderr


def test_debugging_shows_where(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSCODEC_DEBUG", "1")
    outcome = run("info", tmp_path / "none.igs")
    assert outcome.code == 2
    assert "Traceback" in outcome.stderr


def test_a_closed_pipe_is_one_line(igs: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([*PROGRAM, "info", igs, "--json"], stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_no_heavy_package_is_loaded_for_help_and_decode(igs: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from gscodec.cli.app import main; code = main(sys.argv[1:]);"
        "print(code, *sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    for arguments, absent in (
        (["--help"], {"torch", "cupy", "rich", "numpy", "PIL", "OpenEXR"}),
        (["decode", str(igs), str(tmp_path / "out.png")], {"torch", "cupy", "rich", "OpenEXR", "scipy"}),
        (["sample", str(igs), "--at", "1,1"], {"torch", "cupy", "rich", "OpenEXR", "scipy"}),
        (["info", str(igs)], {"torch", "cupy", "rich", "OpenEXR", "scipy"}),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, encoding="utf-8", check=True
        )
        exit_code, *loaded = done.stderr.split()
        assert exit_code == "0"
        assert not absent & set(loaded)


def test_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(source)
    command = [*PROGRAM, "encode", str(source), "--gaussians", "500", "--steps", "1000000"]
    with on_terminal(command) as program:
        program.until("dB")  # of the progress bar: the fit is under way
        code, output, _ = program.interrupt()
    assert (code, output) == (130, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["noise.png"]
