"""Writing a file so that its path never shows half of it."""

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gscodec.errors import FileAccessError, GsCodecError, OutputExists, file_access_error
from gscodec.streams import is_stream, write_stream

_COPY_BYTES = 1 << 20


def write_atomic(path: str | os.PathLike[str], data: bytes | bytearray | memoryview, overwrite: bool) -> None:
    """Put data at a path, whole or not at all: temporary name in the same folder, fsync, rename.

    A link is followed and stays a link. Whatever goes wrong, an old file stays as it was and no temporary file is left.
    Named pipes, devices and descriptors (`/dev/stdout`) are written to as they are, with or without `overwrite`.

    Raises:
        OutputExists: the path is taken and overwrite is false; a file that appears meanwhile counts.
        FileAccessError: the operating system refused, or the path is not a regular file.
    """
    if is_stream(path):
        with _one_line_faults(path):
            write_stream(path, [data])
        return
    with atomic_path(path, overwrite) as temporary:
        _write_synced(temporary, data)


@contextmanager
def atomic_path(path: str | os.PathLike[str], overwrite: bool) -> Iterator[Path]:
    """A path to write a file to, which then takes the place of another, whole or not at all, as `write_atomic`.

    What is written there must be on disk when the context ends.

    Raises:
        OutputExists, FileAccessError: as `write_atomic`.
    """
    with _one_line_faults(path):
        if is_stream(path):
            with tempfile.TemporaryDirectory() as folder:
                temporary = Path(folder) / "out"
                yield temporary
                with temporary.open("rb") as file:
                    write_stream(path, iter(lambda: file.read(_COPY_BYTES), b""))
            return
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise file_access_error(f"{path}: is a folder; name a file in it", errno.EISDIR, path)
        if target.exists() and not target.is_file():
            raise FileAccessError(f"{path}: is not a regular file, choose another output", filename=path)
        if target.exists() and not overwrite:
            raise _taken(path)
        temporary = target.with_name(f".{target.name[:64]}.{secrets.token_hex(8)}.tmp")
        try:
            yield temporary
            _put(temporary, target, path, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)


@contextmanager
def _one_line_faults(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except GsCodecError:
        raise
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        reason = getattr(fault, "strerror", None) or fault
        raise file_access_error(f"{path}: cannot be written: {reason}", fault, path) from fault


def _taken(path: str | os.PathLike[str]) -> OutputExists:
    return OutputExists(f"{path}: exists already; use --overwrite to replace it", filename=path)


def _write_synced(path: Path, data: bytes | bytearray | memoryview) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put(temporary: Path, target: Path, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)  # unlike a rename, a link never replaces
    except FileExistsError as fault:
        raise _taken(path) from fault
    except OSError:  # a file system without links
        if target.exists():
            raise _taken(path) from None
        temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    """Make the new name last. Not every system can open a folder, and the data itself is safe by now."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
