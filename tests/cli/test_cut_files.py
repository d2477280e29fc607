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
