import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_cli_reference
import make_man_page
import numpy as np
import pytest
import typer
from PIL import Image

import gscodec
from gscodec.cli.app import app
from gscodec.cli.exit import ExitCode

ROOT = Path(__file__).parents[2]
GUIDES = sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "cli.md")
MANUAL = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDES]
COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def options_of(command: str) -> set[str]:
    return {name for parameter in COMMANDS[command].params for name in (*parameter.opts, *parameter.secondary_opts)}


def table(document: Path, heading: str) -> list[list[str]]:
    """Cells of the rows of the Markdown table whose first header cell is `heading`."""
    text = document.read_text(encoding="utf-8")
    match = re.search(rf"^\| {heading} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert match, f"{document.name} has no table headed {heading}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in match[1].splitlines()]


def command_lines(document: Path) -> Iterator[list[str]]:
    """Words of the `gscodec` command lines in the shell blocks, without the program's name; parts of pipes too."""
    for block in blocks(document, "sh"):
        for line in block.splitlines():
            for part in re.split(r" (?:\||\|\||&&) ", line.partition("   #")[0].partition("  # ")[0]):
                if part.startswith("gscodec "):
                    yield shlex.split(part)[1:]


@pytest.mark.parametrize("document", MANUAL, ids=lambda path: path.name)
def test_command_lines_exist(document: Path) -> None:
    for name, *words in command_lines(document):
        assert {word for word in words if re.match("--?[a-z]", word)} <= options_of(name), f"{name} {words}"


def test_the_guides_show_commands() -> None:
    shown = {name for document in MANUAL for name, *_ in command_lines(document)}
    assert shown >= set(COMMANDS)


@pytest.mark.parametrize("document", MANUAL, ids=lambda path: path.name)
def test_options_in_the_text_exist(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    if document.name == "peers.md":  # its second column has other tools' options
        text = re.sub(r"^(\|[^|]*\|)[^|]*\|", r"\1", text, flags=re.MULTILINE)
    known = {option for command in COMMANDS for option in options_of(command)} | {"--version", "--help", "--no-config"}
    assert {
        option for code in re.findall(r"`([^`]+)`", text) for option in re.findall(r"--[a-z][a-z-]*", code)
    } <= known


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_readme_lists_every_command_and_guide() -> None:
    assert [row[0].strip("`").split()[0] for row in table(ROOT / "README.md", "Command")] == list(COMMANDS)
    for document in (ROOT / "README.md", ROOT / "docs" / "README.md"):
        linked = {Path(name).name for name in re.findall(r"\]\(([^)#]+\.md)", document.read_text(encoding="utf-8"))}
        assert linked >= {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_two_commands_set_everything_up() -> None:
    start = blocks(ROOT / "README.md", "sh")[0].splitlines()
    assert [line.split("#")[0].strip() for line in start] == ["make demo", "make test"]


def test_the_command_reference_is_current() -> None:
    written = make_cli_reference.TARGET.read_text(encoding="utf-8")
    assert written == make_cli_reference.reference(), "docs/cli.md is stale: run `make docs`"
    for command in COMMANDS:
        for option in (name for name in options_of(command) if name.startswith("--")):
            assert f"`{option}" in written or f" {option}" in written


def test_the_manual_page_is_current() -> None:
    written = make_man_page.TARGET.read_text(encoding="utf-8")
    assert written == make_man_page.man_page(), "the manual page is stale: run `make docs`"
    assert [line[4:] for line in written.splitlines() if line.startswith(".SS ")] == list(COMMANDS)
    requests = {line.split()[0] for line in written.splitlines() if line.startswith((".", "'"))}
    assert requests <= {'.\\"', ".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I", ".br"}


def test_the_table_of_exit_codes_is_whole() -> None:
    rows = table(ROOT / "docs" / "scripting.md", "Exit code")
    assert [int(row[0]) for row in rows] == [code.value for code in ExitCode]


def test_every_public_name_is_documented() -> None:
    named = {row[0].strip("`").removeprefix("gscodec.") for row in table(ROOT / "docs" / "python.md", "Name")}
    assert named == set(gscodec.__all__)


def test_every_public_member_of_an_open_file_is_documented() -> None:
    rows = table(ROOT / "docs" / "python.md", "Member of `IgsImage`")
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    public = {name for name in vars(gscodec.IgsImage) if not name.startswith("_")}
    assert named <= public
    assert public - named <= {"name", "close", "select", "has_file_chunk"}


@pytest.mark.parametrize("document", MANUAL, ids=lambda path: path.name)
def test_python_examples_compile(document: Path) -> None:
    for code in blocks(document, "python"):
        ast.parse(code)


def test_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text))
    assert len(named) > 30
    missing = [name for name in named if not ((ROOT / "gscodec" / name).exists() or (ROOT / name).exists())]
    assert not missing


def test_every_package_has_a_sentence_in_the_order_of_imports() -> None:
    source = (ROOT / "tests" / "project" / "test_packages.py").read_text(encoding="utf-8")
    (order,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "ORDER" and node.value is not None
    )
    rows = table(ROOT / "docs" / "architecture.md", "Package")
    assert [row[0].strip("`") for row in rows] == list(order)


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_the_python_example_runs(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = blocks(ROOT / document, "python")[0]
    rows, columns = np.mgrid[0:200, 0:380]
    Image.fromarray(np.stack([rows, columns // 2, rows // 2], axis=-1).astype(np.uint8)).save(tmp_path / "photo.png")
    slopes = np.stack([0.5 * np.sin(rows / 9), 0.5 * np.sin(columns / 11)], axis=-1)
    normals = np.concatenate([slopes, np.sqrt(1 - np.square(slopes).sum(axis=-1, keepdims=True))], axis=-1)
    for name, plane in (("rock_col.png", rows), ("rock_nor.png", 127.5 + 127.5 * normals)):
        Image.fromarray(plane.astype(np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    quick = "gaussians=50, preset='fast', steps=5, lods=2"
    exec(code.replace("bpp=0.2", quick).replace("bppc=0.1", quick), names)  # the same calls, in less time
    assert names["picture"].shape == (200, 380, 3)
    assert names["part"].shape == (256, 512, 3)
    assert names["values"].shape == (1, 3)
    if "maps" in names:
        assert names["maps"]["rock_nor.png"].samples.shape == (200, 380, 3)


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "name",
    [path.relative_to(ROOT).as_posix() for path in (*MANUAL, ROOT / "docs" / "cli.md")]
    + [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
    + ["CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "samples/LICENSES.md", "benchmarks/README.md"],
)
def test_links_and_pictures_lead_somewhere(name: str) -> None:
    document = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            assert (document.parent / path).exists(), target
            assert not anchor or anchor in anchors(document.parent / path if path else document), target


def test_every_sample_has_its_licence() -> None:
    listed = set(re.findall(r"^\| `([^`]+)`", (ROOT / "samples" / "LICENSES.md").read_text(encoding="utf-8"), re.M))
    folder = ROOT / "samples"
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in {".png", ".exr", ".jpg"} and path.name != "readme_compare.png"
    }
    assert listed == there
