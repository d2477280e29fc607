"""CRC32C (Castagnoli: reflected polynomial 0x82F63B78, initial value and final XOR all ones) in NumPy.

The register is a linear function of the data, so the CRC of two halves joins as shift(left) XOR right, where shift
appends zero bytes to the left half. A row of words is folded in half until one is left; shifts by powers of two are
table lookups. Zero bytes in front of the data do not change a register that starts at zero, which makes any length
a power of two; the all-ones start is added at the end, for it depends on the length alone.
"""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

_POLY: Final = 0x82F63B78
_BLOCK: Final = 1 << 20  # bytes folded at a time: bounds the scratch memory
_WIDE_LEVELS: Final = range(2, 8)  # shifts with many operands: two tables of 65,536 instead of four of 256

U32Array = npt.NDArray[np.uint32]


def _lookup(images: U32Array) -> U32Array:
    """Images of all 2^n inputs of a linear map, from the images (n,) of its single bits."""
    table = np.zeros(1 << len(images), np.uint32)
    for bit, image in enumerate(images):
        table[1 << bit : 2 << bit] = table[: 1 << bit] ^ image
    return table


@cache
def _bit_images(level: int) -> U32Array:
    """(32,) registers after appending 2^level zero bytes to each register with one bit set."""
    if level == 0:
        images = []
        for bit in range(32):
            register = 1 << bit
            for _ in range(8):
                register = (register >> 1) ^ (_POLY if register & 1 else 0)
            images.append(register)
        return np.array(images, np.uint32)
    return _shift(level - 1, _bit_images(level - 1))


@cache
def _tables(level: int) -> tuple[U32Array, ...]:
    bits = 16 if level in _WIDE_LEVELS else 8
    return tuple(_lookup(part) for part in _bit_images(level).reshape(-1, bits))


def _shift(level: int, registers: U32Array) -> U32Array:
    """Registers after appending 2^level zero bytes to each."""
    tables = _tables(level)
    digits = np.ascontiguousarray(registers, dtype="<u4").view("<u2" if len(tables) == 2 else "u1")
    digits = digits.reshape(*registers.shape, len(tables))
    result: U32Array = tables[0][digits[..., 0]]
    for place in range(1, len(tables)):
        result ^= tables[place][digits[..., place]]
    return result


def _shift_any(register: int, n_bytes: int) -> int:
    """One register after appending n_bytes zero bytes."""
    value = np.array([register], np.uint32)
    for level in range(n_bytes.bit_length()):
        if n_bytes >> level & 1:
            value = _shift(level, value)
    return int(value[0])


@cache
def _ones(n_bytes: int) -> int:
    """What an all-ones start and the final XOR add to the register of n_bytes of data."""
    return _shift_any(0xFFFFFFFF, n_bytes) ^ 0xFFFFFFFF


def _fold(rows: npt.NDArray[np.uint8]) -> U32Array:
    """(P,) registers, started at zero, of rows (P, length)."""
    n_rows, length = rows.shape
    levels = max(0, -(-length // 4) - 1).bit_length()
    padded = np.zeros((n_rows, 4 << levels), np.uint8)
    padded[:, padded.shape[1] - length :] = rows
    words: U32Array = padded.view("<u4").astype(np.uint32, copy=False)
    for level in range(levels):
        words = _shift(level + 2, words[:, 0::2]) ^ words[:, 1::2]
    return _shift(2, words[:, 0])


def crc32c_rows(rows: npt.NDArray[np.uint8]) -> U32Array:
    """(P,) CRC32C of each row of a matrix (P, length)."""
    n_rows, length = rows.shape
    step = max(1, _BLOCK // max(1, length))
    parts = [_fold(rows[at : at + step]) for at in range(0, n_rows, step)]
    registers = np.concatenate(parts) if parts else np.zeros(0, np.uint32)
    return registers ^ np.uint32(_ones(length))


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """CRC32C of some bytes; 0 for none."""
    view = np.frombuffer(data, np.uint8)
    register = 0
    for at in range(0, len(view), _BLOCK):
        block = view[at : at + _BLOCK]
        register = _shift_any(register, len(block)) ^ int(_fold(block[None, :])[0])
    return register ^ _ones(len(view)) if len(view) else 0
