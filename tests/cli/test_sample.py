import json
from pathlib import Path

import numpy as np
import pytest
from program import Run

import gscodec

POINTS = [[0.5, 0.5], [20.25, 10.0], [47.5, 31.5]]


def _npy_header(shape: str, kind: str = "<f8") -> bytes:
    """An NPY file of any shape, and of four numbers."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(32)


def test_points_from_options(run: Run, igs: Path) -> None:
    outcome = run("sample", igs, *(part for x, y in POINTS for part in ("--at", f"{x},{y}")), "--lod", 1)
    assert (outcome.code, outcome.stderr) == (0, "")
    table = np.array([[float(word) for word in line.split()] for line in outcome.text.splitlines()])
    np.testing.assert_array_equal(table[:, :2], POINTS)
    with gscodec.open(igs) as image:
        np.testing.assert_allclose(table[:, 2:], image.sample(np.array(POINTS), lod=1), atol=5e-7)


def test_points_from_stdin(run: Run, igs: Path) -> None:
    text = "# points\n\n0.5,0.5\n 20.25 10\n47.5, 31.5\n"
    wanted = run("sample", igs, *(part for x, y in POINTS for part in ("--at", f"{x},{y}"))).text
    assert run("sample", igs, stdin=text.encode()).text == wanted
    assert run("sample", igs, "--at", "-", stdin=text.encode()).text == wanted


def test_no_points_no_lines(run: Run, igs: Path) -> None:
    outcome = run("sample", igs)
    assert (outcome.code, outcome.stdout) == (0, b"")


def test_file_from_stdin(run: Run, igs: Path) -> None:
    assert run("sample", "-", "--at", "1,1", stdin=igs.read_bytes()).text == run("sample", igs, "--at", "1,1").text


def test_json(run: Run, igs: Path) -> None:
    outcome = run("sample", igs, "--at", "20.25,10", "--json")
    result = json.loads(outcome.text)
    assert result["lod"] == 0
    assert result["channels"] == ["color.0", "color.1", "color.2"]
    (point,) = result["points"]
    assert point["at"] == [20.25, 10.0]
    with gscodec.open(igs) as image:
        assert point["values"] == image.sample(np.array([[20.25, 10.0]]))[0].tolist()


def test_bad_lines_are_named(run: Run, igs: Path) -> None:
    outcome = run("sample", igs, stdin=b"1,1\nhere\n")
    assert (outcome.code, outcome.stdout) == (1, b"")
    assert "stdin, line 2" in outcome.stderr


def test_levels_that_are_not_there(run: Run, igs: Path) -> None:
    shown = run("sample", igs, "--at", "1,1", "--lod", 9)
    assert (shown.code, shown.stderr) == (0, f"{igs}: has 3 levels of detail, decoding LOD 2\n")
    assert shown.stdout == run("sample", igs, "--at", "1,1", "--lod", 2).stdout
    assert run("sample", igs, "--at", "1,1", "--lod", 16).code == 1


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"\0" * 100, "is neither text nor an NPY file"),
        (b"nan,nan\n1,1\n", "line 1: 'nan,nan' is not a point"),
        (b"1," * 100_000, "line 1: '1,1,"),
        (_npy_header("(1000000000000, 2)"), "is not an NPY file of points"),
        (_npy_header("((((2,2"), "is not an NPY file of points"),
        (_npy_header("(-1, 2)"), "is not an NPY file of points"),
        (_npy_header("(1, 2)", "|O"), "is not an NPY file of points"),
    ],
)
def test_hostile_points(run: Run, igs: Path, tmp_path: Path, content: bytes, fact: str) -> None:
    (tmp_path / "points").write_bytes(content)
    outcome = run("sample", igs, "--points", tmp_path / "points")
    assert (outcome.code, outcome.stdout, outcome.stderr.count("\n")) == (1, b"", 1)
    assert fact in outcome.stderr
    assert len(outcome.stderr) < 1000


def test_values_of_integer_samples_run_from_0_to_1(run: Run, tmp_path: Path) -> None:
    pixels = np.full((16, 24, 4), 255, np.uint8)
    pixels[:, :12, 3] = 0
    gscodec.encode(pixels, tmp_path / "cut.igs", gaussians=20, preset="fast", steps=60)
    with gscodec.open(tmp_path / "cut.igs") as image:
        model = image.sample([[3.5, 8.0], [20.5, 8.0]])
    assert model[0, 3] < 0
    assert model[1, 3] > 1  # the margin that makes both exact
    outcome = run("sample", tmp_path / "cut.igs", "--at", "3.5,8", "--at", "20.5,8")
    assert [float(line.split()[-1]) for line in outcome.text.splitlines()] == [0, 1]
