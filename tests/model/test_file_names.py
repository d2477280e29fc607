"""Names from files as file names: one function for all writers."""

import os
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gscodec.container.contents import Contents
from gscodec.container.validate import Severity, validate
from gscodec.container.writer import pack
from gscodec.errors import FileAccessError
from gscodec.format.files import FileEntry
from gscodec.model.channels import ChannelGroup
from gscodec.model.file_names import (
    MAX_NAME_BYTES,
    distinct_file_names,
    file_key,
    is_portable,
    legal_name,
    name_fault,
    path_in_folder,
    safe_file_name,
)
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.hidden_characters import has_hidden

_WINDOWS_FORBIDDEN = set('<>:"|?*/\\')

# Any text that Python can hold, dense in what matters.
_PIECES = st.one_of(
    st.text(st.characters(), max_size=8),  # lone surrogates too
    st.sampled_from(
        [*"/\\.-~: \t\n_", "..", "NUL", "con", "COM1", "lpt\u00b9", "CONIN$", "\u202e", "\u200b", "\u3000"]
    ),
    st.sampled_from([".png", ".exr", ".", "é", "e\u0301", "\U0001f600", "\ud800", "a" * 100, "\U00020000" * 40]),
)
_NAMES = st.lists(_PIECES, max_size=8).map("".join)
_SUFFIXES = st.sampled_from([None, ".png", ".exr", ".dds"])


def _assert_safe(name: str) -> None:
    assert name, "is empty"
    assert len(name.encode("utf-8")) <= MAX_NAME_BYTES
    assert not _WINDOWS_FORBIDDEN & set(name)
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in name)
    assert not has_hidden(name)
    assert name[0] not in ".-~"
    assert name == name.strip()
    assert not name.endswith(".")
    assert not PureWindowsPath(name).is_reserved()
    assert PureWindowsPath(name).name == PurePosixPath(name).name == name
    assert os.path.normpath(f"/out/{name}") == f"/out/{name}"


@given(_NAMES, _SUFFIXES)
@example("NUL" + " " * 300 + "x", ".png")
@example("CON." + "a" * 300, None)
@example(" . . -~.", ".png")
@example("a" * 254 + ".", None)
@example("x.\u3000", None)
def test_any_text_becomes_a_safe_name(name: str, suffix: str | None) -> None:
    safe = safe_file_name(name, suffix=suffix)
    _assert_safe(safe)
    assert safe_file_name(safe) == safe
    assert is_portable(safe)
    assert suffix is None or (safe.endswith(suffix) and len(safe) > len(suffix))


@given(st.lists(_NAMES, max_size=6))
@example(["a/b.png", "a_b.png", "A_B.png"])
@example(["a" * 300 + ".png", "a" * 299 + ".png"])
@example(["\u00e9.png", "e\u0301.png"])
@example(["", "unnamed", "unnamed_2"])
def test_names_stay_apart(names: list[str]) -> None:
    safe = distinct_file_names(names)
    assert len(safe) == len(names)
    for name in safe:
        _assert_safe(name)
    assert len({file_key(name) for name in safe}) == len(names)
    assert distinct_file_names(safe) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("rock_diff.png", "rock_diff.png"),
        ("Ångström 日本語 (1).png", "Ångström 日本語 (1).png"),
        ("../../evil.png", "__.._evil.png"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\windows\\x.png", "C__windows_x.png"),
        ("a:b", "a_b"),
        ("..", "unnamed"),
        (".", "unnamed"),
        ("", "unnamed"),
        ("NUL", "_NUL"),
        ("nul.tar.png", "_nul.tar.png"),
        ("COM\u00b2.png", "_COM\u00b2.png"),
        ("conin$", "_conin$"),
        ("COM10.png", "COM10.png"),
        ("-rf.png", "_rf.png"),
        (".hidden.png", "_hidden.png"),
        ("~root.png", "_root.png"),
        ("a.png. . ", "a.png"),
        ("pho\u202egnp.exe", "pho_gnp.exe"),
        ("\x1b[31m.png", "_[31m.png"),
        ("x\ud800.png", "x_.png"),
        ("a\u2028b.png", "a_b.png"),
        ('<a>"b"|?*.png', "_a__b____.png"),
        ("日" * 100 + ".png", "日" * 83 + ".png"),
    ],
)
def test_known_names(name: str, safe: str) -> None:
    assert safe_file_name(name) == safe


def test_of_colliding_names_the_safe_one_keeps_its_own() -> None:
    assert distinct_file_names(["a/b.png", "a_b.png"]) == ["a_b_2.png", "a_b.png"]


@pytest.mark.parametrize(
    "name", ["a/b", "a\\b", ".", "..", "/abs", "a\x1bb", "a\u202eb", "a\u200bb", "\ufeffa", "\ud800"]
)
def test_the_format_refuses(name: str) -> None:
    assert name_fault(name) is not None
    assert name_fault(legal_name(name)) is None


@pytest.mark.parametrize("name", ["NUL", "a:b", "-x", ".x", "a ", "\u2764\ufe0f.png", "日本.png"])
def test_the_format_takes_what_is_only_not_portable(name: str) -> None:
    assert name_fault(name) is None
    assert legal_name(name) == name


@given(_NAMES)
def test_an_encoder_makes_any_name_legal(name: str) -> None:
    assert name_fault(legal_name(name)) is None
    assert legal_name(name)
    assert legal_name(legal_name(name)) == legal_name(name)


def test_validate_warns_of_names_that_are_not_portable() -> None:
    groups = (ChannelGroup("NUL", source="a:b.png", n_channels=1), ChannelGroup("x", source="A:B.png", n_channels=1))
    gaussians = GaussianSet(np.ones((1, 2)), np.ones((1, 2)), np.zeros(1), np.ones((1, 2), np.float32))
    files = (FileEntry("-x.png", 4, 5, 1, ("x",)), FileEntry("ok.png", 4, 5, 1, ("x",)))
    contents = Contents(Grid(8, 8, np.zeros(2, np.float32)), groups, LodTable.single(1), gaussians, files=files)
    issues = validate(pack(contents))
    assert {issue.severity for issue in issues} == {Severity.WARNING}
    assert [(issue.where, issue.message.split("'")[1::2]) for issue in issues] == [
        ("CHAN", ["NUL", "_NUL"]),
        ("CHAN", ["a:b.png", "a_b.png"]),
        ("CHAN", ["A:B.png", "A_B_2.png"]),
        ("FILE", ["-x.png", "_x.png"]),
    ]


def test_links_that_leave_the_folder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "precious.png").write_bytes(b"mine")
    (folder / "a.png").symlink_to(tmp_path / "precious.png")
    (folder / "gone.png").symlink_to(tmp_path / "not_there.png")
    (folder / "real.png").write_bytes(b"")
    (folder / "near.png").symlink_to("real.png")
    for name in ("a.png", "gone.png"):
        with pytest.raises(FileAccessError, match="leads out of its folder"):
            path_in_folder(folder, name)
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(FileAccessError, match="not a regular file"):
        path_in_folder(folder, "pipe.png")
    assert path_in_folder(folder, "near.png") == folder / "near.png"
    with pytest.raises(ValueError, match="safe"):
        path_in_folder(folder, "../a.png")
