"""The text that stands for all code that decides a file's bytes or pixels."""

import shutil
from pathlib import Path

import pytest

import gscodec
from gscodec.encoding import fingerprint


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another place of the package's sources, which the fingerprint is taken of."""
    root = tmp_path / "gscodec"
    shutil.copytree(Path(gscodec.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    engine = tmp_path / "engine.so"
    engine.write_bytes(b"engine")
    monkeypatch.setattr(gscodec, "__file__", str(root / "__init__.py"))
    monkeypatch.setattr("gscodec._engine.__file__", str(engine))
    return root


def taken() -> str:
    return fingerprint.fingerprint.__wrapped__()


@pytest.mark.parametrize(
    "name",
    [
        "encoding/api.py",
        "fit/loop.py",
        "image/load.py",
        "decoding/scene.py",
        "metrics/psnr.py",
        "native/render/isa/kernels.cpp",
    ],
)
def test_it_changes_with_all_that_decides_a_file(copy: Path, name: str) -> None:
    before = taken()
    assert before == taken()
    (copy / name).write_bytes((copy / name).read_bytes() + b" ")
    assert taken() != before


def test_it_changes_with_the_compiled_engine_and_the_format(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = taken()
    (copy.parent / "engine.so").write_bytes(b"Engine")
    other = taken()
    monkeypatch.setattr(fingerprint, "VERSION", (9, 9))
    assert len({before, other, taken()}) == 3


def test_it_does_not_depend_on_what_only_talks_about_files(copy: Path) -> None:
    before = taken()
    (copy / "cli" / "app.py").write_bytes(b"")
    (copy / "fit" / "__pycache__").mkdir()
    (copy / "fit" / "__pycache__" / "x.py").write_bytes(b"")
    assert taken() == before
