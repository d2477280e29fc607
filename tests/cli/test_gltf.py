import json
from pathlib import Path

import numpy as np
import pytest
from gltf_models import document, png
from gltf_rules import checked
from program import Run

QUICK = ("--preset", "fast", "--steps", "2", "--lods", "1", "--bpp", "4", "--device", "cpu")


def test_a_model_there_and_back(run: Run, tmp_path: Path) -> None:
    root = document()
    del root["buffers"], root["bufferViews"], root["accessors"], root["meshes"], root["nodes"], root["scenes"]
    del root["scene"]
    root["images"] = [{"uri": f"{number}.png"} for number in range(4)]
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(np.full((16, 16, 3), 40 * number, np.uint8)))
    (tmp_path / "model.gltf").write_text(json.dumps(root), encoding="utf-8")
    outcome = run("gltf", tmp_path / "model.gltf", tmp_path / "small.glb", "--no-fallback", *QUICK)
    assert outcome.code == 0, outcome.stderr
    lines = outcome.stdout.decode().splitlines()
    assert len(lines) == 5
    assert ": color, 16x16, " in lines[0]
    assert lines[-1] == f"{tmp_path / 'small.glb'}: images converted: 4, files written: 1"
    checked(tmp_path / "small.glb")
    outcome = run("gltf", tmp_path / "small.glb", tmp_path / "back" / "model.gltf", "--decode", "-q")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert len(checked(tmp_path / "back" / "model.gltf").root["images"]) == 4


def test_defaults_of_the_configuration_file_exclude_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GSCODEC_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "config.toml").write_text("[gltf]\nquality = 20\nlods = 1\n")
    (tmp_path / "model.gltf").write_text('{"asset": {"version": "2.0"}}')
    for number, options in enumerate((("--decode",), ("--bpp", "2"))):
        outcome = run("gltf", tmp_path / "model.gltf", tmp_path / f"{number}.glb", *options)
        assert outcome.code == 0, outcome.stderr


def test_options_that_exclude_each_other(run: Run, tmp_path: Path) -> None:
    paths = (tmp_path / "in.glb", tmp_path / "out.glb")
    assert run("gltf", *paths, "--bpp", "1", "--quality", "3").code == 1
    assert run("gltf", *paths, "--decode", "--quality", "3").code == 1
    assert run("gltf", *paths, "--decode", "--no-fallback").code == 1
    assert run("gltf", *paths).code == 2
