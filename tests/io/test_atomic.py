import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gscodec.errors import FileAccessError, OutputExists
from gscodec.io import atomic
from gscodec.io.atomic import write_atomic


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
    link = os.link

    def racing(*arguments: Any, **options: Any) -> None:
        path.write_bytes(b"theirs")
        link(*arguments, **options)

    monkeypatch.setattr(os, "link", racing)
    with pytest.raises(OutputExists):
        write_atomic(path, b"ours", overwrite=False)
    assert path.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.igs"]


@pytest.fixture(params=[True, False], ids=["unnamed", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without files that have no name until they are whole."""
    if not request.param:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return "unnamed" if request.param else "named"


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, step: str, way: str
) -> None:
    assert way
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
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.igs"
    write_atomic(path, b"new", overwrite=False)
    write_atomic(path, b"newer", overwrite=True)
    assert path.read_bytes() == b"newer"
    assert names(tmp_path) == ["a.igs"]


@pytest.mark.usefixtures("way")
def test_modes(tmp_path: Path) -> None:
    path = tmp_path / "a.igs"
    before = os.umask(0o027)
    try:
        write_atomic(path, b"new", overwrite=False)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o600)
        write_atomic(path, b"newer", overwrite=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with atomic.atomic_path(path, overwrite=True) as temporary:
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
            temporary.write_bytes(b"newest")
        assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (0o600, b"newest")
        path.chmod(0o664)
        write_atomic(path, b"last", overwrite=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o664
    finally:
        os.umask(before)


def test_live_temporary_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.igs"
    with atomic.atomic_path(path, overwrite=False) as temporary:
        temporary.write_bytes(b"half")
        subprocess.run(
            [sys.executable, "-c", f"from gscodec.io import atomic; atomic.sweep({str(tmp_path)!r})"], check=True
        )
        assert temporary.read_bytes() == b"half"
    assert path.read_bytes() == b"half"


KILLED = """
import os, signal, sys
from pathlib import Path
from gscodec.io import atomic
if len(sys.argv) > 2:
    with atomic.atomic_path(sys.argv[1], overwrite=True) as temporary:
        temporary.write_bytes(b"half")
        print(temporary.name)
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
atomic.write_atomic(sys.argv[1], b"half", overwrite=True)
"""


@pytest.mark.parametrize("more", [[], ["path"]])
def test_a_kill_leaves_nothing_for_ever(tmp_path: Path, more: list[str]) -> None:
    path = tmp_path / "a.igs"
    path.write_bytes(b"old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), *more], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    if more:
        assert ended.stdout.decode().strip() in names(tmp_path)
    atomic.sweep(tmp_path)
    assert names(tmp_path) == ["a.igs"]


def test_what_another_machine_began_is_removed_when_it_is_old(tmp_path: Path) -> None:
    fresh, old, older, other = (
        tmp_path / name
        for name in (
            f".a.igs.{'0' * 15}1{'2' * 16}.tmp",
            f".b.igs.{'0' * 15}1{'2' * 16}.tmp",
            f".c.igs.{'3' * 16}.tmp",  # of version 0.1.0
            ".d.igs.tmp",  # somebody else's
        )
    )
    for path in (fresh, old, older, other):
        path.write_bytes(b"")
    for path in (old, older, other):
        os.utime(path, (1, 1))
    sweep_at(tmp_path, hours=1)
    assert names(tmp_path) == sorted([fresh.name, old.name, older.name, other.name])
    sweep_at(tmp_path, hours=25)
    assert names(tmp_path) == [other.name]


def sweep_at(folder: Path, hours: float) -> None:
    """Sweep as it will be done some hours from now: the time of the last change of a file cannot be set back."""
    with pytest.MonkeyPatch.context() as patch:
        now = time.time()
        patch.setattr(time, "time", lambda: now + 3600 * hours)
        atomic.sweep(folder)


def test_links_that_look_like_temporary_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    link = tmp_path / f".a.igs.{'0' * 32}.tmp"
    link.symlink_to("mine")
    os.mkfifo(tmp_path / f".b.igs.{'0' * 32}.tmp")
    sweep_at(tmp_path, hours=100)
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert link.is_symlink()


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
