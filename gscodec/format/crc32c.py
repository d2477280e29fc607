"""CRC32C (Castagnoli: reflected polynomial 0x82F63B78, initial value and final XOR all ones)."""

import numpy as np
import numpy.typing as npt

from gscodec import _engine


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """CRC32C of some bytes; 0 for none."""
    view = np.frombuffer(data, np.uint8)
    return int(_engine.crc32c(view, np.array([len(view)], np.int64))[0])


def crc32c_spans(data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """(n,) CRC32C of spans of given lengths in bytes that follow each other in data."""
    return _engine.crc32c(data, np.cumsum(lengths, dtype=np.int64))
