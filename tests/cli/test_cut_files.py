"""Every command that decodes shows a file that was cut short at the finest level that it still holds."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import Run

import gscodec
from gscodec.container.reader import IgsReader


@pytest.fixture
def cut(igs: Path, tmp_path: Path) -> Path:
    """The picture without its finest level."""
    with IgsReader(igs) as reader:
        n_bytes = reader.prefix_size(1)
    path = tmp_path / "from" / "cut.igs"
    path.parent.mkdir()
    path.write_bytes(igs.read_bytes()[:n_bytes])
    return path


def test_pictures_and_textures(run: Run, igs: Path, cut: Path, tmp_path: Path) -> None:
    note = f"{cut}: truncated; LOD 1 is its finest complete level\n"
    commands = {
        ("decode", cut, tmp_path / "a.png"): (tmp_path / "a.png", note),
        ("decode", cut, tmp_path / "b.png", "--mips"): (tmp_path / "b.png", note),
        ("export", cut, tmp_path / "c", "--to", "png"): (tmp_path / "c" / "cut.png", ""),
        ("batch", "--decode", cut.parent, tmp_path / "d"): (tmp_path / "d" / "cut.png", ""),
    }
    with gscodec.open(igs) as image:
        expected = image.render(lod=1)
    for command, (path, stderr) in commands.items():
        outcome = run(*command)
        assert outcome.code == 0, command
        assert outcome.stderr.startswith(stderr)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)


def test_points(run: Run, igs: Path, cut: Path) -> None:
    outcome = run("sample", cut, "--at", "20.25,10", "--json")
    assert (outcome.code, outcome.stderr) == (0, f"{cut}: truncated; LOD 1 is its finest complete level\n")
    assert outcome.text == run("sample", igs, "--at", "20.25,10", "--json", "--lod", 1).text
    assert json.loads(outcome.text)["lod"] == 1
    assert run("sample", cut, "--at", "1,1", "--lod", 0).code == 3


def test_each_tile_at_its_finest_level(run: Run, igs: Path, tmp_path: Path) -> None:
    data = igs.read_bytes()
    with IgsReader(data) as reader:
        size = (reader.prefix_size(0) + reader.prefix_size(1)) // 2
    cut = tmp_path / "cut.igs"
    cut.write_bytes(data[:size])
    outcome = run("decode", cut, tmp_path / "a.png", "--available", "--region", "3,4,20,20")
    assert (outcome.code, outcome.stderr) == (0, "")
    with gscodec.open(cut) as image:
        expected = image.render(None, (3, 4, 20, 20), available=True)
        (again,) = image.render_files(available=True).values()
        np.testing.assert_array_equal(again.samples, image.render(available=True))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), expected)
    (decoded,) = gscodec.decode(cut, tmp_path / "b.png", available=True)
    assert decoded.path == tmp_path / "b.png"
    for option in (("--lod", 1), ("--max-bytes", "1k"), ("--mips",)):
        outcome = run("decode", cut, tmp_path / "c.png", "--available", *option)
        assert (outcome.code, "for each tile" in outcome.stderr) == (1, True)


@pytest.mark.parametrize("from_stdin", [False, True])
def test_pictures_while_a_file_arrives(run: Run, igs: Path, tmp_path: Path, from_stdin: bool) -> None:
    source, more = ("-", {"stdin": igs.read_bytes()}) if from_stdin else (igs, {})
    outcome = run("decode", source, tmp_path / "a.png", "--progressive", "--scale", "0.5", **more)
    assert outcome.code == 0
    pictures = list(gscodec.progressive(igs, size=(16, 24)))
    assert len(outcome.stderr.splitlines()) == len(pictures) > 2
    assert outcome.stderr.endswith(f"{pictures[-1].n_bytes} of {igs.stat().st_size} bytes\n")
    for number, picture in enumerate(pictures, 1):
        written = np.asarray(Image.open(tmp_path / f"a.{number:03d}.png"))
        np.testing.assert_array_equal(written, picture.pixels)
    assert run("decode", igs, "--progressive").code == 1
    assert run("decode", igs, "-", "--progressive").code == 1
    assert run("decode", igs, tmp_path / "a.png", "--progressive").code == 2  # they exist
