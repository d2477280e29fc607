"""CRC32C (Castagnoli, reflected polynomial 0x82F63B78, RFC 3720, B.4), computed by the native engine."""

import numpy as np
import numpy.typing as npt

from gscodec import _engine

U32Array = npt.NDArray[np.uint32]


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """CRC32C of `data`; 0 if it is empty."""
    view = np.frombuffer(data, np.uint8)
    return int(crc32c_runs(view, np.array([len(view)]))[0])


def crc32c_runs(data: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> U32Array:
    """(P,) CRC32C of P consecutive runs of `data`, of `lengths` (P,) bytes."""
    return _engine.crc32c_runs(np.ascontiguousarray(data), np.ascontiguousarray(lengths, np.int64))
