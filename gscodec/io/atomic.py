"""Atomic file output: a path never shows a partial file, and a killed writer leaves no temporary file for long.

Where the system has unnamed files (Linux, O_TMPFILE), bytes are written to one, so that a kill leaves nothing. A named
temporary file is needed on other systems, to replace a file, and for writers that require a path. Its writer holds a
lock (flock) on it, which the kernel releases when the process ends. `sweep` removes unlocked temporary files. Locks of
other machines may be invisible on a network file system, so the name encodes the machine; temporary files of other
machines are removed only when they are a day old.
"""

import contextlib
import errno
import os
import platform
import re
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from gscodec.errors import FileAccessError, GsCodecError, OutputExists, file_access_error
from gscodec.io.streams import is_stream, write_stream

fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
"""None on Windows, where an open file cannot be removed."""

_COPY_BYTES: Final = 1 << 20

STALE_SECONDS: Final = 24 * 3600
"""Age in seconds after which a temporary file of another machine is removed."""

_SUFFIX: Final = ".tmp"
_PATTERN: Final = re.compile(r"\..{1,64}\.(?P<machine>[0-9a-f]{16})(?P<token>[0-9a-f]{16})?\.tmp", re.DOTALL)
"""Temporary file names; version 0.1.0 wrote 16 digits without a machine."""

_NAME_CHARACTERS: Final = 40
"""Characters of the target's name in a temporary name: at 4 bytes each, well below the limit of 255 bytes."""

_swept: set[str] = set()
"""Folders that this process has already swept."""


def write_atomic(path: str | os.PathLike[str], data: bytes | bytearray | memoryview, overwrite: bool) -> None:
    """Write data to a path atomically: temporary file in the same folder, fsync, then link or rename.

    Symbolic links are followed. A replaced file keeps its mode, and its owner if permitted; a new file has mode 0666
    minus the umask. On any error an existing file is unchanged. Named pipes, devices and descriptors (`/dev/stdout`)
    are written to directly, with or without `overwrite`.

    Raises:
        OutputExists: the path exists, possibly created meanwhile, and overwrite is false.
        FileAccessError: the operating system refused, or the path is not a regular file.
    """
    with _one_line_faults(path):
        if is_stream(path):
            write_stream(path, [data])
            return
        target = _target(path, overwrite)
        if not _write_unnamed(target, data, path, overwrite=overwrite):
            with _named(target, path, overwrite=overwrite) as temporary:
                _write_synced(temporary, data)
        _sync_folder(target.parent)


@contextmanager
def atomic_path(path: str | os.PathLike[str], overwrite: bool) -> Iterator[Path]:
    """Path of an empty temporary file to write to; at the end it replaces `path` as in `write_atomic`.

    The caller must have flushed its data to disk (fsync) when the context ends.

    Raises:
        OutputExists, FileAccessError: as `write_atomic`.
    """
    with _one_line_faults(path):
        if is_stream(path):
            import tempfile

            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "out"
                yield copy
                with copy.open("rb") as file:
                    write_stream(path, iter(lambda: file.read(_COPY_BYTES), b""))
            return
        target = _target(path, overwrite)
        with _named(target, path, overwrite=overwrite) as temporary:
            yield temporary
        _sync_folder(target.parent)


def sweep(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files in a folder whose writers have ended."""
    try:
        with os.scandir(folder) as entries:
            matches = [(entry.path, match) for entry in entries if (match := _PATTERN.fullmatch(entry.name))]
    except OSError:
        return
    for path, match in matches:
        _remove_if_stale(path, match["machine"] if match["token"] else "")


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[int]:
    """Locked descriptor of the file at a path, open for reading and appending; the file is created if missing.

    If the lock's holder replaces the file, waiters open the new one. On file systems without locks the descriptor is
    not locked.

    Raises:
        OSError: it cannot be opened, is a symbolic link, or is not a regular file.
    """
    while True:
        extra = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW", "O_BINARY"))
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | extra, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "is not a regular file")
            _lock(descriptor)
            if _is_at(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)


@contextmanager
def _one_line_faults(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except GsCodecError:
        raise
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        reason = getattr(fault, "strerror", None) or fault
        raise file_access_error(f"{path}: cannot be written: {reason}", fault, path) from fault


def _target(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """Real path of the output, checked to be replaceable."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise file_access_error(f"{path}: is a folder; name a file in it", errno.EISDIR, path)
    if target.exists() and not target.is_file():
        raise FileAccessError(f"{path}: is not a regular file, choose another output", filename=path)
    if target.exists() and not overwrite:
        raise _taken(path)
    if str(target.parent) not in _swept:
        _swept.add(str(target.parent))
        sweep(target.parent)
    return target


def _taken(path: str | os.PathLike[str]) -> OutputExists:
    return OutputExists(f"{path}: exists already; use --overwrite to replace it", filename=path)


def _write_unnamed(
    target: Path, data: bytes | bytearray | memoryview, path: str | os.PathLike[str], *, overwrite: bool
) -> bool:
    """Write through an unnamed file (O_TMPFILE); False if the system does not support it."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None or not Path("/proc/self/fd").is_dir():
        return False
    old = _stat(target)
    try:
        descriptor = os.open(target.parent, flag | os.O_WRONLY | os.O_CLOEXEC, _mode_of(old))
    except OSError as fault:
        if fault.errno in {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL} and target.parent.is_dir():
            return False
        raise
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        _keep_attributes(descriptor, old)
        os.fsync(descriptor)
        _lock(descriptor)
        if not overwrite:
            return _link(f"/proc/self/fd/{descriptor}", target, path, folder=descriptor)
        temporary = _temporary(target)
        if not _link(f"/proc/self/fd/{descriptor}", temporary, path, folder=descriptor):
            return False
        _renamed(temporary, target)
    return True


@contextmanager
def _named(target: Path, path: str | os.PathLike[str], *, overwrite: bool) -> Iterator[Path]:
    """A locked empty file beside the target, which replaces it at the end."""
    temporary, old = _temporary(target), _stat(target)
    with ExitStack() as stack:
        descriptor = _open_locked(temporary, _mode_of(old))
        if fcntl is None:  # Windows neither renames nor removes an open file
            os.close(descriptor)
        else:
            stack.callback(os.close, descriptor)
        stack.callback(temporary.unlink, missing_ok=True)
        yield temporary
        if fcntl is not None:
            _keep_attributes(descriptor, old)
        _put(temporary, target, path, overwrite=overwrite)


def _temporary(target: Path) -> Path:
    boot, host = _machine()
    return target.with_name(f".{target.name[:_NAME_CHARACTERS]}.{boot}{host}{os.urandom(8).hex()}{_SUFFIX}")


def _open_locked(temporary: Path, mode: int) -> int:
    """A new locked file; retried if `sweep` removed it before it was locked."""
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
        _lock(descriptor)
        if _is_at(descriptor, temporary):
            return descriptor
        os.close(descriptor)


def _write_synced(path: Path, data: bytes | bytearray | memoryview) -> None:
    with path.open("r+b") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put(temporary: Path, target: Path, path: str | os.PathLike[str], *, overwrite: bool) -> None:
    if not overwrite:
        if _link(temporary, target, path):  # unlike a rename, a link never replaces
            return
        if target.exists():  # a file system without links
            raise _taken(path)
    _renamed(temporary, target)


def _renamed(temporary: Path, target: Path) -> None:
    try:
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _link(source: str | Path, target: Path, path: str | os.PathLike[str], *, folder: int | None = None) -> bool:
    """Hard-link a file to a name; False if the file system has no links.

    Args:
        folder: any descriptor: with one, and only then, Python follows the link that `/proc/self/fd/N` is.
    """
    try:
        os.link(source, target, src_dir_fd=folder)
    except FileExistsError as fault:
        raise _taken(path) from fault
    except OSError:
        return False
    return True


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _mode_of(old: os.stat_result | None) -> int:
    """Mode of the temporary file, never more permissive than the old file's."""
    return 0o666 if old is None else 0o600


def _keep_attributes(descriptor: int, old: os.stat_result | None) -> None:
    """Copy owner (if permitted) and mode of the replaced file."""
    if old is None or not hasattr(os, "fchmod"):
        return
    mode, new = stat.S_IMODE(old.st_mode), os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except OSError:
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
    os.fchmod(descriptor, mode)


def _remove_if_stale(path: str, machine: str) -> None:
    """Remove a temporary file unless its writer may be alive."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                return
            boot, host = _machine()
            is_ours = machine[:8] == boot or machine[8:] == host
            is_old = time.time() - max(state.st_mtime, state.st_ctime) > STALE_SECONDS
            lock = try_lock(descriptor) if is_ours else None
            if is_old if lock is None else lock:
                Path(path).unlink()
        finally:
            os.close(descriptor)


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file until it is closed; False if it is locked elsewhere, None if the file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _lock(descriptor: int) -> None:
    """Lock an open file until it is closed, waiting as long as needed; does nothing without file system locks."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_at(descriptor: int, path: str | os.PathLike[str]) -> bool:
    """Whether a path still refers to this open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), Path(path).stat())
    except OSError:
        return False


@cache
def _machine() -> tuple[str, str]:
    """Two hashes of eight hexadecimal digits: of the boot ID, which containers share, and of the host name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        boot = platform.node().encode()
    return tuple(f"{zlib.crc32(text):08x}" for text in (boot, platform.node().encode()))  # type: ignore[return-value]


def _sync_folder(folder: Path) -> None:
    """Flush a new directory entry to disk; errors are ignored, as not every system can open a folder."""
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
