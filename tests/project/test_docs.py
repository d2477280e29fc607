import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from gscodec.cli.app import app
from gscodec.cli.exit import ExitCode

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def options_of(verb: str) -> set[str]:
    return {name for parameter in COMMANDS[verb].params for name in parameter.opts}


def table(heading: str) -> list[list[str]]:
    """Cells of the rows of the Markdown table whose first header cell is `heading`."""
    match = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert match, f"README.md has no table headed {heading}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in match[1].splitlines()]


def test_command_lines_of_the_readme_exist() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("gscodec ")]
    assert len(lines) >= 5
    for line in lines:
        _, verb, *words = shlex.split(line, comments=True)
        used = {word for word in words if word.startswith("--")}
        assert used <= options_of(verb), line


def test_the_table_of_verbs_is_whole_and_right() -> None:
    rows = table("Verb")
    assert [row[0].strip("`").split()[0] for row in rows] == list(COMMANDS)
    for row in rows:
        verb = row[0].strip("`").split()[0]
        assert set(re.findall(r"--[a-z-]+", row[2])) <= options_of(verb)


def test_the_table_of_exit_codes_is_whole() -> None:
    assert [int(row[0]) for row in table("Exit code")] == [code.value for code in ExitCode]


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks("python")
    rows, columns = np.mgrid[0:200, 0:380]
    Image.fromarray(np.stack([rows, columns // 2, rows // 2], axis=-1).astype(np.uint8)).save(tmp_path / "photo.png")
    slopes = np.stack([0.5 * np.sin(rows / 9), 0.5 * np.sin(columns / 11)], axis=-1)
    normals = np.concatenate([slopes, np.sqrt(1 - np.square(slopes).sum(axis=-1, keepdims=True))], axis=-1)
    for name, plane in (("rock_col.png", rows), ("rock_nor.png", 127.5 + 127.5 * normals)):
        Image.fromarray(plane.astype(np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    quick = "gaussians=50, preset='fast', steps=5"
    exec(code.replace("bpp=0.2", quick).replace("bppc=0.1", quick), names)  # the same calls, in less time
    assert names["picture"].shape == (200, 380, 3)
    assert names["part"].shape == (256, 512, 3)
    assert names["values"].shape == (1, 3)
    assert names["maps"]["rock_nor.png"].samples.shape == (200, 380, 3)


def test_links_and_pictures_lead_somewhere() -> None:
    documents = (ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "samples/LICENSES.md"))
    for document in documents:
        for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            if "://" not in target:
                assert (document.parent / path).exists(), f"{document.name}: {target}"
                headings = (
                    re.findall(r"^#+ (.+)$", (document.parent / path).read_text(encoding="utf-8"), re.M)
                    if anchor
                    else []
                )
                assert not anchor or anchor in {h.lower().replace(" ", "-") for h in headings}, (
                    f"{document.name}: {target}"
                )


def test_every_sample_has_its_licence() -> None:
    listed = set(re.findall(r"^\| `([^`]+)`", (ROOT / "samples" / "LICENSES.md").read_text(encoding="utf-8"), re.M))
    folder = ROOT / "samples"
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in {".png", ".exr", ".jpg"} and path.name != "readme_compare.png"
    }
    assert listed == there
