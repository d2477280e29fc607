"""Stores finished parts of an encode in a file, so that an interrupted encode can be resumed.

The file begins with a line that identifies the encode; records of arrays follow, each preceded by its length and
CRC-32. A record truncated by a kill is dropped. The file is locked while an encode uses it.
"""

import io
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import GsCodecError, InvalidArgument, file_access_error
from gscodec.io.atomic import try_lock, write_atomic

Arrays = dict[str, npt.NDArray[Any]]

_MAGIC: Final = b"gscodec checkpoint 1 "
_HEAD: Final = struct.Struct("<QI")  # bytes of the record, CRC-32


class Checkpoint:
    """The records of one encode; the file is created if it does not exist.

    Args:
        key: 64 hexadecimal digits, a hash of everything that the result depends on.

    Raises:
        InvalidArgument: the file is not a checkpoint, is damaged, or belongs to another encode or one that is still
            running.
        FileAccessError: the file cannot be opened.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self.records: list[Arrays] = []
        self._lock = -1
        try:
            self._open(path, key)
        except GsCodecError:
            self.close()
            raise
        except OSError as fault:
            self.close()
            raise file_access_error(
                f"{path}: cannot be used as checkpoint: {fault.strerror or fault}", fault
            ) from fault

    def _open(self, path: Path, key: str) -> None:
        head = _MAGIC + key.encode() + b"\n"
        if not path.exists():
            write_atomic(path, head, overwrite=False)
        if not path.is_file():
            raise InvalidArgument(f"{path}: is not a regular file; name another checkpoint")
        self._lock = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        if try_lock(self._lock) is False:
            raise InvalidArgument(f"{path}: is the checkpoint of an encode that is running; name another file")
        with path.open("rb") as file:
            start = file.read(len(head))
            if not start.startswith(_MAGIC) or len(start) != len(head):
                raise InvalidArgument(f"{path}: is not a checkpoint of gscodec; name another file")
            if start != head:
                raise InvalidArgument(
                    f"{path}: belongs to an encode of another picture, target or version; remove it or name another"
                )
            self._end = len(head)
            with self.checked():
                while (record := self._read(file)) is not None:
                    self.records.append(record)
                    self._end = file.tell()

    def close(self) -> None:
        """Close the file and release its lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Context in which errors caused by an invalid record become InvalidArgument."""
        try:
            yield
        except (ValueError, KeyError, TypeError, IndexError, EOFError, OverflowError, zipfile.BadZipFile) as fault:
            raise InvalidArgument(f"{self._path}: the checkpoint is damaged; remove it or name another") from fault

    def append(self, record: Arrays) -> None:
        """Append a record; it has been flushed to disk when this returns."""
        stream = io.BytesIO()
        np.savez(stream, allow_pickle=False, **record)
        data = stream.getvalue()
        try:
            with self._path.open("r+b") as file:
                file.seek(self._end)
                file.truncate()
                file.write(_HEAD.pack(len(data), zlib.crc32(data)) + data)
                file.flush()
                os.fsync(file.fileno())
                self._end = file.tell()
        except OSError as fault:
            raise file_access_error(f"{self._path}: cannot be written: {fault.strerror or fault}", fault) from fault

    @staticmethod
    def _read(file: io.BufferedReader) -> Arrays | None:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, crc = _HEAD.unpack(head)
        left = os.fstat(file.fileno()).st_size - file.tell()
        data = file.read(length) if length <= left else b""
        if len(data) < length or zlib.crc32(data) != crc:
            return None
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {info.filename.removesuffix(".npy"): _array(archive, info) for info in archive.infolist()}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """An array of a record as written by `numpy.savez`; allocates no more memory than there are bytes in the file.

    Raises:
        ValueError: the bytes are not such an array.
    """
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("is compressed")
    data = io.BytesIO(archive.read(info))
    if np.lib.format.read_magic(data) != (1, 0):
        raise ValueError("has another version")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(data)
    values = data.read()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError("has another size")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if by_columns else "C").copy()
