"""The user's configuration file."""

import json
import sys
from pathlib import Path

import pytest
from program import Run

from gscodec.cli._config import config_path

QUICK = ("--steps", "3", "--lods", "1")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("GSCODEC_CONFIG", str(path))
    return path


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CONFIG_HOME": "/etc/mine"}, "/etc/mine/gscodec/config.toml"),
        ("linux", {"HOME": "/home/me"}, "/home/me/.config/gscodec/config.toml"),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/Library/Application Support/gscodec/config.toml"),
        ("win32", {"APPDATA": "/me/Roaming"}, "/me/Roaming/gscodec/config.toml"),
        ("win32", {"GSCODEC_CONFIG": "/other.toml"}, "/other.toml"),
    ],
)
def test_the_file_is_where_the_system_has_such_files(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("XDG_CONFIG_HOME", "APPDATA", "GSCODEC_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert config_path() == Path(expected)


def test_defaults_come_from_the_file_and_the_command_line_replaces_them(
    run: Run, config: Path, picture: Path, tmp_path: Path
) -> None:
    config.write_text('[all]\nthreads = 1\n[encode]\ngaussians = 12\noverwrite = true\nlods = 1\npreset = "draft"\n')
    out = tmp_path / "a.igs"
    for options, n_gaussians in (((), 12), (("--gaussians", "9"), 9), (("--size", "600"), None)):
        assert run("encode", picture, out, *options).code == 0
        info = json.loads(run("info", out, "--json").text)
        if n_gaussians is None:
            assert info["file_size"] <= 600
        else:
            assert info["n_gaussians"] == n_gaussians


def test_two_targets_on_the_command_line_are_still_one_too_many(run: Run, config: Path, picture: Path) -> None:
    config.write_text("[encode]\nquality = 50\n")
    outcome = run("encode", picture, "--bpp", "1", "--size", "600")
    assert (outcome.code, "at most one of" in outcome.stderr) == (1, True)


def test_no_config_leaves_it_out(run: Run, config: Path, picture: Path, tmp_path: Path) -> None:
    config.write_text("[encode]\ngaussians = 12\n")
    assert run("--no-config", "encode", picture, tmp_path / "a.igs", "--size", "600", *QUICK).code == 0
    config.write_text("something else")
    assert run("--no-config", "info", tmp_path / "a.igs").code == 0


def test_config_shows_path_and_defaults(run: Run, config: Path) -> None:
    assert run("config").text == f"{config} (does not exist)\n"
    config.write_text('[all]\nthreads = 2\n[batch]\nreport = ["a.html", "b.csv"]\n[encode]\nstack = true\n')
    lines = run("config").text.splitlines()
    assert lines[0] == str(config)
    assert {"encode --threads 2", "encode --stack true", "batch --report a.html b.csv"} <= set(lines)
    assert json.loads(run("config", "--json").text)["defaults"]["decode"] == {"threads": "2"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[encode]\npreset = 'slow'\n", "[encode]: preset: 'slow' is not one of"),
        ("[encode]\nsize = 'many'\n", "[encode]: size: "),
        ("[encode]\nquality = 101\n", "[encode]: quality: "),
        ("[encode]\nquality = true\n", "[encode]: quality is not true or false"),
        ("[encode]\ngrain = 1\n", "[encode]: grain is true or false"),
        ("[encode]\nqality = 50\n", "[encode]: qality is not an option of encode"),
        ("[all]\nqality = 50\n", "[all]: qality is not an option of any command"),
        ("[encode]\noutput = 'a.igs'\n", "[encode]: output is not an option"),
        ("[batch]\nreport = 'a.html'\n", "[batch]: report is a list"),
        ("[encode]\nquality = [50]\n", "[encode]: quality is a single value"),
        ("[encode]\nquality = {a = 1}\n", "is neither a text nor a number"),
        ("[encde]\nquality = 50\n", "[encde] is not a command; there are all, encode"),
        ("quality = 50\n", "quality stands outside a table"),
        ("quality = \n", "is not a TOML file"),
    ],
)
def test_a_wrong_entry_is_one_line_and_exit_code_1(run: Run, config: Path, text: str, reason: str) -> None:
    config.write_text(text)
    outcome = run("info", "missing.igs")
    assert outcome.code == 1
    assert outcome.stderr.startswith(f"gscodec: error: {config}")
    assert reason in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_manifest_comes_before_the_file_and_the_command_line_before_both(
    run: Run, config: Path, picture: Path, tmp_path: Path
) -> None:
    config.write_text('[batch]\ngaussians = 7\nseed = 3\npreset = "draft"\n')
    manifest = tmp_path / "list.toml"
    manifest.write_text(f'output = "out"\ngaussians = 9\n[[item]]\nname = "a"\nfiles = ["{picture}"]\n')
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture.read_bytes())
    planned = {
        name: run("batch", *arguments, "--dry-run").text
        for name, arguments in {
            "folder": (folder, tmp_path / "out"),
            "manifest": (manifest,),
            "line": (manifest, "--gaussians", "11"),
        }.items()
    }
    assert "gaussians 7, draft" in planned["folder"]
    assert "gaussians 9, draft" in planned["manifest"]
    assert "gaussians 11, draft" in planned["line"]


def test_batch_has_every_setting_of_a_manifest(run: Run, picture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture.read_bytes())
    options = "--gaussians 20 --steps 2 --profile packed --record-bytes 6 --lods 2 --halves 1 --seed 4 --role albedo"
    assert run("batch", folder, tmp_path / "out", *options.split(), "--nan", "zero").code == 0
    info = json.loads(run("info", tmp_path / "out" / "a.igs", "--json").text)
    assert (info["profile"], len(info["lods"]), info["groups"][0]["role"]) == ("packed", 2, "albedo")
