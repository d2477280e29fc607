"""Pipes, devices and descriptors as inputs and outputs."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Any
FAST = ["--gaussians", "20", "--preset", "fast", "--steps", "10", "--lods", "1", "--quiet"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes have no names on this system")


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def fed(path: Path, data: bytes) -> Path:
    """A named pipe that somebody writes to."""
    threading.Thread(target=lambda: pipe_write(path, data), daemon=True).start()
    return pipe(path)


def pipe_write(path: Path, data: bytes) -> None:
    while not path.exists():
        pass
    with path.open("wb") as file:
        file.write(data)


class Drain:
    """A named pipe that somebody reads from."""

    def __init__(self, path: Path) -> None:
        self.path = pipe(path)
        self.data = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self.path.open("rb") as file:
            self.data = file.read()

    def all(self) -> bytes:
        self._thread.join(10)
        return self.data


def test_encode_reads_and_writes_named_pipes(run: Run, picture: Path, tmp_path: Path) -> None:
    nameless = shutil.copy(picture, tmp_path / "picture")  # a pipe has no picture's name to record either
    assert run("encode", nameless, tmp_path / "direct.igs", *FAST).code == 0
    drain = Drain(tmp_path / "out")
    outcome = run("encode", fed(tmp_path / "in", picture.read_bytes()), drain.path, *FAST)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert drain.all() == (tmp_path / "direct.igs").read_bytes()
    assert drain.path.is_fifo()


def test_decode_reads_and_writes_named_pipes(run: Run, igs: Path, tmp_path: Path) -> None:
    assert run("decode", igs, tmp_path / "direct.png").code == 0
    drain = Drain(tmp_path / "out")
    outcome = run("decode", fed(tmp_path / "in", igs.read_bytes()), drain.path)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert drain.all() == (tmp_path / "direct.png").read_bytes()


@pytest.mark.parametrize("suffix", [".exr", ".hdr"])
def test_float_pictures_come_through_pipes(suffix: str, tmp_path: Path) -> None:
    from gscodec.image.arrays import from_array
    from gscodec.image.load import load_image
    from gscodec.image.save import save_image

    stack = from_array(np.full((4, 5, 3), 0.5, np.float32))
    save_image(tmp_path / f"a{suffix}", stack.samples, stack.groups)
    got = load_image(fed(tmp_path / "in", (tmp_path / f"a{suffix}").read_bytes()))
    assert got.samples.shape == (4, 5, 3)


def test_dev_null_is_written_without_a_question(run: Run, igs: Path) -> None:
    assert run("decode", igs, "/dev/null").code == 0


def test_a_pipe_without_an_output_goes_to_stdout(run: Run, picture: Path, tmp_path: Path) -> None:
    outcome = run("encode", fed(tmp_path / "in", picture.read_bytes()), *FAST)
    assert outcome.code == 0
    assert outcome.stdout.startswith(b"\xabIGS")


def test_descriptors_of_the_shell(picture: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "gscodec"]
    direct = tmp_path / "direct.igs"
    command = [*program, "encode", "/dev/stdin", "/dev/stdout", *FAST]
    piped = subprocess.run(command, input=picture.read_bytes(), capture_output=True, check=True)
    with direct.open("wb") as file:  # a regular file behind the descriptor
        file.write(b"head")
        file.flush()
        subprocess.run([*program, "decode", "/dev/stdin", "/dev/stdout"], input=piped.stdout, stdout=file, check=True)
    assert direct.read_bytes().startswith(b"head\x89PNG")
    shell = f"{sys.executable} -m gscodec encode <(cat {picture}) {tmp_path / 'out.igs'} {' '.join(FAST)}"
    subprocess.run(["bash", "-c", shell], check=True)
    assert (tmp_path / "out.igs").read_bytes() == piped.stdout


def test_an_endless_stream_of_something_else_is_not_read_to_its_end(run: Run, tmp_path: Path) -> None:
    outcome = run("encode", "/dev/zero", tmp_path / "out.igs", *FAST)
    assert outcome.code == 3
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "-"],
        ["validate", "-"],
        ["decode", "-", "out.png"],
        ["export", "-", "out", "--to", "dds"],
        ["compare", "-", "picture.png"],
        ["sample", "picture.igs", "--points", "-"],
        ["sample", "picture.igs", "--points", "/dev/zero"],
    ],
    ids=" ".join,
)
def test_an_endless_stdin_is_let_go(arguments: list[str], picture: Path, igs: Path, tmp_path: Path) -> None:
    shutil.copy(picture, tmp_path / "picture.png")
    shutil.copy(igs, tmp_path / "picture.igs")
    with Path("/dev/zero").open("rb") as zeros:
        command = [sys.executable, "-m", "gscodec", *arguments]
        done = subprocess.run(command, cwd=tmp_path, stdin=zeros, capture_output=True, timeout=60, check=False)
    assert done.returncode in {1, 3}
    assert (done.stdout + done.stderr).count(b"\n") == 1  # validate lists faults on stdout


def test_compare_reads_named_pipes(run: Run, picture: Path, igs: Path, tmp_path: Path) -> None:
    wanted = run("compare", picture, igs).text
    one, two = fed(tmp_path / "one", picture.read_bytes()), fed(tmp_path / "two", igs.read_bytes())
    assert run("compare", one, two).text == wanted
    assert run("compare", "-", igs, stdin=picture.read_bytes()).text == wanted
    assert run("compare", picture, "-", stdin=igs.read_bytes()).text == wanted


def test_folders_and_missing_files_are_one_line(run: Run, igs: Path, tmp_path: Path) -> None:
    for command in (
        ["decode", tmp_path, tmp_path / "a.png"],
        ["decode", igs, tmp_path],
        ["decode", tmp_path / "none.igs", tmp_path / "a.png"],
        ["encode", tmp_path / "none.png", tmp_path / "a.igs", *FAST],
        ["encode", tmp_path / "no" / "none.png", tmp_path / "no" / "a.igs", *FAST],
        ["encode", igs.parent, tmp_path / "a.igs", *FAST],
    ):
        outcome = run(*command)
        assert (outcome.code, outcome.stderr.count("\n")) == (2, 1), outcome.stderr
