"""Errors are what Python code expects: OSError and its children where files are concerned."""

import errno
import io
import pickle
from pathlib import Path

import numpy as np
import pytest

import gscodec
from gscodec import errors
from gscodec.cli.exit import message_of
from gscodec.image.arrays import from_array
from gscodec.image.load import load_image
from gscodec.image.save import save_image
from gscodec.io.atomic import write_atomic


def test_a_missing_source_is_a_file_not_found_error(tmp_path: Path) -> None:
    path = tmp_path / "none.png"
    for call in (lambda: load_image(path), lambda: gscodec.open(tmp_path / "none.png")):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        fault = caught.value
        assert isinstance(fault, errors.FileAccessError)
        assert (fault.errno, fault.filename) == (errno.ENOENT, str(path))
        assert str(fault) == message_of(fault)
        assert str(fault).startswith(f"{path}: ")


def test_a_folder_is_an_is_a_directory_error(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        load_image(tmp_path)
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path, b"", overwrite=True)


def test_a_taken_output_is_a_file_exists_error(tmp_path: Path) -> None:
    stack = from_array(np.zeros((2, 2), np.uint8))
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(FileExistsError) as caught:
        save_image(path, stack.samples, stack.groups)
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, str(path))
    assert "--overwrite" in str(caught.value)


def test_a_missing_folder_is_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "no" / "a.igs", b"", overwrite=True)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, FileNotFoundError),
        (errno.EACCES, PermissionError),
        (errno.EISDIR, IsADirectoryError),
        (errno.ENOTDIR, NotADirectoryError),
        (errno.ENOSPC, OSError),
        (None, OSError),
    ],
)
def test_errors_come_through_a_process_boundary(number: int | None, kind: type[OSError]) -> None:
    fault = errors.file_access_error("a.png: is no use", number, "a.png")
    again = pickle.loads(pickle.dumps(fault))
    assert isinstance(again, kind)
    assert isinstance(again, errors.FileAccessError)
    assert (str(again), again.errno, again.filename) == ("a.png: is no use", number, "a.png")


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.InvalidArgument, ValueError),
        (errors.BadFile, ValueError),
        (errors.OutOfMemory, MemoryError),
        (errors.MissingExtra, ImportError),
    ],
)
def test_errors_are_those_that_python_has_for_the_case(kind: type[errors.GsCodecError], standard: type) -> None:
    assert issubclass(kind, standard)
    fault = pickle.loads(pickle.dumps(kind("a.igs: is no use")))
    assert (type(fault), message_of(fault)) == (kind, "a.igs: is no use")


def test_memory_that_runs_out_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data = gscodec.encode(np.zeros((16, 16), np.uint8), gaussians=1, steps=1, lods=1).data

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gscodec.decoding.image.paint", exhausted)
    with gscodec.open(data) as image, pytest.raises(MemoryError, match="16x16 px do not fit into memory") as caught:
        image.render()
    assert isinstance(caught.value, errors.GsCodecError)


def test_a_pipe_that_promises_too_much_is_no_fault_of_the_system() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    data = gscodec.encode(np.zeros((16, 16), np.uint8), gaussians=1, steps=1, lods=1, profile="coded").data
    with pytest.raises(errors.LimitExceeded, match="--max-memory"):
        gscodec.open(Pipe(data), limits=gscodec.Limits(max_memory=100))
