"""Tutorials run as they stand: their shell lines through the program, their Python blocks in one namespace each."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _range_server import RangeServer, serve
from PIL import Image

from gscodec.cli.app import main

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
TUTORIALS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
SERVER = "http://localhost:8000/"

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def save(path: Path, samples: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(samples).clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, with small pictures of the names that tutorials use."""
    rows, columns = np.mgrid[0:64, 0:96]
    waves = 40 * np.sin(rows / 5) * np.cos(columns / 7)
    colour = np.stack([rows * 3 + waves, columns * 2, 255 - rows - columns + waves], axis=-1)
    slopes = np.stack([0.4 * np.sin(rows / 9), 0.4 * np.sin(columns / 11)], axis=-1)
    normals = np.concatenate([slopes, np.sqrt(1 - np.square(slopes).sum(axis=-1, keepdims=True))], axis=-1)
    save(tmp_path / "photo.png", colour)
    save(tmp_path / "rock" / "rock_col.png", colour)
    save(tmp_path / "rock" / "rock_nor.png", 127.5 + 127.5 * normals)
    save(tmp_path / "rock" / "rock_rough.png", 128 + waves)
    save(tmp_path / "textures" / "wall_col.png", colour[:, ::-1])
    save(tmp_path / "textures" / "wall_rough.png", 128 - waves)
    save(tmp_path / "textures" / "sign.png", colour[::-1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serve() as running:
        yield running


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_it_runs_as_it_stands(tutorial: Path, folder: Path, server: RangeServer) -> None:
    names: dict[str, Any] = {}
    n_run = 0
    for language, text in BLOCK.findall(tutorial.read_text(encoding="utf-8")):
        for path in folder.glob("*.igs"):
            server.add(path.name, path.read_bytes())
        code = text.replace(SERVER, server.url(""))
        if language == "python":
            exec(compile(code, tutorial.name, "exec"), names)
        elif language == "sh":
            for line in code.splitlines():
                program, *words = shlex.split(line, comments=True)
                assert program == "gscodec", line
                if words[0] == "encode" and "--preset" not in words:
                    words += ["--preset", "draft"]  # the same command, in less time
                assert main(words) == 0, line
        elif language == "toml":
            (name,) = re.findall(r"Save this as `(\S+)`", tutorial.read_text(encoding="utf-8"))
            (folder / name).write_text(code, encoding="utf-8")
        else:
            assert language == "glsl", language
            continue
        n_run += 1
    assert n_run >= 2


def test_the_index_lists_them() -> None:
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == [path.name for path in TUTORIALS]
