import os
from pathlib import Path

import pytest

from gscodec.errors import FileAccessError, OutputExists
from gscodec.format import atomic, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a.igs"
    write_atomic(path, b"one", overwrite=False)
    write_atomic(str(path), memoryview(b"two"), overwrite=True)
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["a.igs"]


def test_refuses_to_replace_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.igs"
    path.write_bytes(b"old")
    with pytest.raises(OutputExists, match="--overwrite"):
        write_atomic(path, b"new", overwrite=False)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.igs"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.igs"
    write = atomic._write_synced

    def racing(temporary: Path, data: bytes | bytearray | memoryview) -> None:
        write(temporary, data)
        path.write_bytes(b"theirs")

    monkeypatch.setattr(atomic, "_write_synced", racing)
    with pytest.raises(OutputExists):
        write_atomic(path, b"ours", overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.igs"]


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, step: str
) -> None:
    path = tmp_path / "a.igs"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
    with pytest.raises(FileAccessError if isinstance(fault, OSError) else KeyboardInterrupt):
        write_atomic(path, b"new", overwrite=True)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.igs"]


def test_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.igs"
    write_atomic(path, b"new", overwrite=False)
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.igs"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.igs").write_bytes(b"old")
    (tmp_path / "link.igs").symlink_to("real.igs")
    write_atomic(tmp_path / "link.igs", b"new", overwrite=True)
    assert (tmp_path / "link.igs").is_symlink()
    assert (tmp_path / "real.igs").read_bytes() == b"new"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "a.igs", "nul\0.igs", tmp_path / ("x" * 300)):
        with pytest.raises(FileAccessError):
            write_atomic(path, b"", overwrite=True)
    assert names(tmp_path) == []
