"""Options for large and far files: URLs, bounds, mip chains, points in bulk, statistics."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from _range_server import RangeServer
from PIL import Image
from program import Run

import gscodec
from gscodec.container.reader import IgsReader

POINTS = np.array([[0.5, 0.5], [20.25, 10.0], [47.5, 31.5]])


def pixels(path: Path) -> npt.NDArray[np.generic]:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def values(igs: Path) -> npt.NDArray[np.float32]:
    with gscodec.open(igs) as image:
        return image.sample(POINTS)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A material of two maps."""
    for name, value in (("rock_color.png", 3), ("rock_roughness.png", 1)):
        picture = np.random.default_rng(value).integers(0, 255, (24, 20, 3)[: 2 + (value == 3)], dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / name)
    path = tmp_path / "rock.igs"
    sources = [tmp_path / "rock_color.png", tmp_path / "rock_roughness.png"]
    gscodec.encode(sources, path, gaussians=30, preset="fast", steps=10)
    return path


def test_urls_are_read_by_every_verb(
    run: Run, igs: Path, server: RangeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = server.add("shelf/picture.igs", igs.read_bytes()) + "?token=secret"
    assert run("decode", url).code == 0
    with gscodec.open(igs) as image:
        np.testing.assert_array_equal(pixels(tmp_path / "picture.decoded.png"), image.render())
    assert run("sample", url, "--at", "1,1").text == run("sample", igs, "--at", "1,1").text
    output, expected = (json.loads(run("info", source, "--json").text) for source in (url, igs))
    assert output["width"] == expected["width"]
    outcome = run("validate", url)
    assert outcome.code == 0
    assert "secret" not in outcome.text + outcome.stderr


def test_a_url_that_does_not_exist_is_one_line(run: Run, server: RangeServer) -> None:
    outcome = run("decode", server.url("none.igs"), "-")
    assert (outcome.code, outcome.stdout) == (2, b"")
    assert len(outcome.stderr.splitlines()) == 1


def test_bounds_choose_the_level(run: Run, igs: Path, tmp_path: Path) -> None:
    with IgsReader(igs) as reader, gscodec.open(igs) as image:
        for number, (option, value, lod) in enumerate(
            [
                ("--max-bytes", reader.prefix_size(1), 1),
                ("--max-bytes", reader.prefix_size(1) - 1, 2),
                ("--max-gaussians", reader.count(1), 1),
                ("--max-gaussians", 10_000, 0),
            ]
        ):
            path = tmp_path / f"{number}.png"
            assert run("decode", igs, path, option, value).code == 0
            np.testing.assert_array_equal(pixels(path), image.render(lod))


@pytest.mark.parametrize(
    "options",
    [
        ("--lod", "1", "--max-bytes", "9k"),
        ("--lod", "1", "--max-gaussians", "5"),
        ("--max-bytes", "1"),
        ("--max-gaussians", "0"),
        ("--mips", "--size", "8x8"),
        ("--mips", "--region", "0,0,4,4"),
        ("--mips", "--max-bytes", "9k"),
    ],
)
def test_bounds_that_cannot_be_kept_are_refused(run: Run, igs: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    outcome = run("decode", igs, tmp_path / "out.png", *options)
    assert outcome.code == 1
    assert len(outcome.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_mips_are_pictures_beside_each_other(run: Run, igs: Path, tmp_path: Path) -> None:
    assert run("decode", igs, tmp_path / "out.png", "--mips").code == 0
    names = ["out.png", *(f"out.mip{level}.png" for level in range(1, 6))]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    with gscodec.open(igs) as image:
        for level, (name, expected) in enumerate(zip(names, image.mips(), strict=True)):
            assert expected.shape == (max(1, 32 >> level), max(1, 48 >> level), 3)
            np.testing.assert_array_equal(pixels(tmp_path / name), expected)


def test_mips_replace_nothing_unasked(run: Run, igs: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mip3.png").write_bytes(b"mine")
    outcome = run("decode", igs, tmp_path / "out.png", "--mips")
    assert outcome.code == 2
    assert "out.mip3.png" in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.mip3.png"]
    assert run("decode", igs, tmp_path / "out.png", "--mips", "--overwrite").code == 0
    assert pixels(tmp_path / "out.mip3.png").shape == (4, 6, 3)
    assert run("decode", igs, "-", "--mips").code == 1


def test_maps_have_mip_chains(run: Run, stack: Path, tmp_path: Path) -> None:
    assert run("decode", stack, tmp_path / "back", "--mips").code == 0
    assert pixels(tmp_path / "back" / "rock_color.mip1.png").shape == (12, 10, 3)
    assert pixels(tmp_path / "back" / "rock_roughness.mip4.png").shape == (1, 1)
    assert len(list((tmp_path / "back").iterdir())) == 10
    outcome = run("decode", stack, tmp_path / "back", "--mips", "--only", "ao")
    assert outcome.code == 1


def test_points_from_files(run: Run, igs: Path, tmp_path: Path) -> None:
    wanted = run("sample", igs, *(part for x, y in POINTS for part in ("--at", f"{x},{y}"))).text
    np.save(tmp_path / "points.npy", POINTS.astype(np.float32))
    (tmp_path / "points.csv").write_text("\ufeffx,y\n" + "".join(f"{x},{y}\n" for x, y in POINTS), encoding="utf-8")
    (tmp_path / "points.txt").write_text("# x y\n\n" + "".join(f"{x} {y}\n" for x, y in POINTS))
    (tmp_path / "mixed.txt").write_text("".join(f"{x}{mark}{y}\n" for (x, y), mark in zip(POINTS, ", ,", strict=True)))
    for name in ("points.npy", "points.csv", "points.txt", "mixed.txt"):
        assert run("sample", igs, "--points", tmp_path / name).text == wanted, name
        assert run("sample", igs, "--points", "-", stdin=(tmp_path / name).read_bytes()).text == wanted, name


def test_files_without_points_give_no_lines(run: Run, igs: Path, tmp_path: Path) -> None:
    for number, text in enumerate(("", "# nothing\n", "x,y\n")):
        (tmp_path / f"{number}.csv").write_text(text)
        outcome = run("sample", igs, "--points", tmp_path / f"{number}.csv")
        assert (outcome.code, outcome.stdout, outcome.stderr) == (0, b"", "")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"x,y\n1,1\n2,here\n", "line 3"),
        (b"1,1\n2\n", "line 2"),
        (b"1,1\n2,nan\n", "line 2"),
        (b"1,2,3\n", "line 1"),
        (b"\xff\xfe\x00", "neither text nor"),
        (b"\x93NUMPYrubbish", "not an NPY file"),
        (b"99,1\n", "outside"),
    ],
)
def test_what_is_no_point_is_named(run: Run, igs: Path, tmp_path: Path, data: bytes, fault: str) -> None:
    (tmp_path / "points").write_bytes(data)
    outcome = run("sample", igs, "--points", tmp_path / "points")
    assert (outcome.code, outcome.stdout) == (1, b"")
    assert fault in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_arrays_of_another_shape_are_named(run: Run, igs: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "points.npy", np.zeros((3, 3)))
    assert "(3, 3); points are numbers (M, 2)" in run("sample", igs, "--points", tmp_path / "points.npy").stderr
    assert run("sample", igs, "--points", tmp_path / "none.npy").code == 2


def test_results_as_tables_and_arrays(run: Run, igs: Path, tmp_path: Path, values: npt.NDArray[np.float32]) -> None:
    np.save(tmp_path / "points.npy", POINTS)
    for name in ("out.npy", "out.csv", "out.json", "out.txt"):
        assert run("sample", igs, "--points", tmp_path / "points.npy", "-o", tmp_path / name).stdout == b""
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), values)
    head, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert head == "x,y,color.0,color.1,color.2"
    table = np.array([[float(word) for word in row.split(",")] for row in rows])
    np.testing.assert_array_equal(table[:, :2], POINTS)
    np.testing.assert_array_equal(table[:, 2:].astype(np.float32), values)
    output = json.loads((tmp_path / "out.json").read_text())
    assert [point["values"] for point in output["points"]] == values.tolist()
    assert len((tmp_path / "out.txt").read_text().splitlines()) == 3
    piped = run("sample", igs, "--points", tmp_path / "points.npy", "--format", "npy").stdout
    np.testing.assert_array_equal(np.load(io.BytesIO(piped)), values)


def test_results_replace_nothing_unasked(run: Run, igs: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("mine")
    assert run("sample", igs, "--at", "1,1", "-o", target).code == 2
    assert target.read_text() == "mine"
    assert run("sample", igs, "--at", "1,1", "-o", target, "--overwrite").code == 0
    assert target.read_text().startswith("x,y,")
    assert run("sample", igs, "--at", "1,1", "-o", tmp_path / "none" / "out.csv").code == 2


@pytest.mark.parametrize(
    "options", [("--at", "1,1", "--points", "p.csv"), ("--at", "1,1", "--json", "--format", "csv")]
)
def test_options_that_exclude_each_other(run: Run, igs: Path, options: tuple[str, ...]) -> None:
    outcome = run("sample", igs, *options)
    assert outcome.code == 1
    assert "exclude each other" in outcome.stderr


def test_statistics_go_to_stderr(run: Run, igs: Path, tmp_path: Path) -> None:
    shutil.copy(igs, tmp_path / "picture.igs")
    outcome = run("sample", tmp_path / "picture.igs", "--at", "20,10", "--stats")
    assert len(outcome.text.splitlines()) == 1
    lines = outcome.stderr.splitlines()
    assert [line.split()[0] for line in lines] == ["read", "pages", "computed"]
    assert f"of {igs.stat().st_size} bytes" in lines[0]
    assert "1 points" in lines[2]
    outcome = run("decode", tmp_path / "picture.igs", "--region", "0,0,10,10", "--stats")
    assert (outcome.code, outcome.stdout) == (0, b"")
    assert "100 points" in outcome.stderr
