"""Finished parts of an encode in a file, so that one that was stopped goes on where it was.

The file begins with a line that names the encode it belongs to; records of arrays follow, each whole or not there:
length and CRC-32 stand before its bytes, and what a kill left of the last one is dropped.
"""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, file_access_error
from gscodec.format.atomic import write_atomic

Arrays = dict[str, npt.NDArray[Any]]

_MAGIC: Final = b"gscodec checkpoint 1 "
_HEAD: Final = struct.Struct("<QI")  # bytes of the record, CRC-32


class Checkpoint:
    """The records of one encode; a new file where there is none.

    Args:
        key: 64 hexadecimal digits of all that the result depends on.

    Raises:
        InvalidArgument: the file is something else, or belongs to another encode.
        FileAccessError: the operating system refused.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self.records: list[Arrays] = []
        head = _MAGIC + key.encode() + b"\n"
        try:
            if not path.exists():
                write_atomic(path, head, overwrite=False)
            with path.open("rb") as file:
                start = file.read(len(head))
                if not start.startswith(_MAGIC) or len(start) != len(head):
                    raise InvalidArgument(f"{path}: is not a checkpoint of gscodec; name another file")
                if start != head:
                    raise InvalidArgument(
                        f"{path}: belongs to an encode of another picture, target or version; remove it or name another"
                    )
                self._end = len(head)
                while (record := self._read(file)) is not None:
                    self.records.append(record)
                    self._end = file.tell()
        except OSError as fault:
            raise file_access_error(
                f"{path}: cannot be used as checkpoint: {fault.strerror or fault}", fault
            ) from fault

    def append(self, record: Arrays) -> None:
        """Add a record. It is on disk when this comes back."""
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
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
