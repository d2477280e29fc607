"""Blocks of BC6H, unsigned half floats: 4x4 texels of RGB in 16 bytes.

Each block is one line of colours with 16 steps between endpoints of 10 bits (mode 11 of Microsoft's "BC6H Format"),
fitted to the texels in the scale in which the decoder interpolates, which is nearly logarithmic. Modes with two lines
are not tried.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_WEIGHTS: Final = np.array([0, 4, 9, 13, 17, 21, 26, 30, 34, 38, 43, 47, 51, 55, 60, 64], np.float32)
_LARGEST_HALF: Final = 0x7BFF
_MODE: Final = 0x03
_BLOCKS_AT_A_TIME: Final = 4096
_REFINEMENTS: Final = 2
_AXIS_STEPS: Final = 8

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def bc6h_blocks(texels: Floats) -> bytes:
    """Blocks of (H, W, 3) light, row by row; values are cut to 0..65504, partial blocks repeat the last texel."""
    halves = np.clip(np.nan_to_num(texels), 0, 65504).astype(np.float16)
    bits = np.minimum(halves.view(np.uint16), _LARGEST_HALF)
    height, width = bits.shape[:2]
    bits = np.pad(bits, [(0, -height % 4), (0, -width % 4), (0, 0)], mode="edge")
    rows, columns = bits.shape[0] // 4, bits.shape[1] // 4
    blocks = bits.reshape(rows, 4, columns, 4, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 16, 3)
    parts = (blocks[at : at + _BLOCKS_AT_A_TIME] for at in range(0, len(blocks), _BLOCKS_AT_A_TIME))
    return b"".join(_encoded(part).tobytes() for part in parts)


def _encoded(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint64]:
    """(B, 2) words of blocks (B, 16, 3)."""
    wanted: Floats = bits.astype(np.float32) * np.float32(64 / 31)
    ends = _quantised(_line(wanted))
    places, error = _nearest(wanted, ends)
    for _ in range(_REFINEMENTS):
        other = _quantised(_fitted(wanted, places))
        other_places, other_error = _nearest(wanted, other)
        better = other_error < error
        ends = np.where(better[:, None, None], other, ends)
        places = np.where(better[:, None], other_places, places)
        error = np.minimum(error, other_error)
    turned = places[:, 0] > 7  # the first place has three bits
    ends = np.where(turned[:, None, None], ends[:, ::-1], ends)
    places = np.where(turned[:, None], 15 - places, places)
    return _words(ends, places)


def _line(wanted: Floats) -> Floats:
    """(B, 2, 3) ends of the texels' extent along their principal axis."""
    mean = wanted.mean(axis=1, keepdims=True)
    away = wanted - mean
    spread = np.einsum("bnc,bnd->bcd", away, away)
    axis = np.ones((len(wanted), 3), np.float32) + np.float32(1e-3) * np.arange(3, dtype=np.float32)
    for _ in range(_AXIS_STEPS):
        axis = np.einsum("bcd,bd->bc", spread, axis) + np.float32(1e-6) * axis
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    along = np.einsum("bnc,bc->bn", away, axis)
    extent = np.stack([along.min(axis=1), along.max(axis=1)], axis=1)
    return np.asarray(mean + extent[:, :, None] * axis[:, None, :], np.float32)


def _fitted(wanted: Floats, places: Integers) -> Floats:
    """(B, 2, 3) ends with the least squared error for given places."""
    second = _WEIGHTS[places] / 64
    first = 1 - second
    a, b, d = (first * first).sum(axis=1), (first * second).sum(axis=1), (second * second).sum(axis=1)
    determinant = a * d - b * b
    safe = np.where(determinant > 1e-4, determinant, 1)[:, None]
    p, q = np.einsum("bn,bnc->bc", first, wanted), np.einsum("bn,bnc->bc", second, wanted)
    ends = np.stack([d[:, None] * p - b[:, None] * q, a[:, None] * q - b[:, None] * p], axis=1) / safe[:, None]
    flat = (determinant <= 1e-4)[:, None, None]
    return np.asarray(np.where(flat, wanted.mean(axis=1, keepdims=True), ends), np.float32)


def _quantised(ends: Floats) -> Integers:
    return np.clip(np.rint((ends - 32) / 64), 0, 1023).astype(np.int64)


def _nearest(wanted: Floats, ends: Integers) -> tuple[Integers, Floats]:
    """(B, 16) places of the nearest colours, and (B,) squared errors."""
    whole = np.where(ends == 0, 0, np.where(ends == 1023, 65535, ends * 64 + 32)).astype(np.float32)
    step = _WEIGHTS[:, None] / 64
    colours = whole[:, None, 0] * (1 - step) + whole[:, None, 1] * step  # (B, 16, 3)
    distances = np.square(wanted[:, :, None] - colours[:, None]).sum(axis=3)
    places = distances.argmin(axis=2)
    return places, np.take_along_axis(distances, places[:, :, None], 2)[:, :, 0].sum(axis=1)


def _words(ends: Integers, places: Integers) -> npt.NDArray[np.uint64]:
    values: Any = ends.reshape(-1, 6).astype(np.uint64)
    low = np.full(len(values), _MODE, np.uint64)
    for number in range(6):
        low |= values[:, number] << np.uint64(5 + 10 * number)  # the last bit of the last value falls off
    high = values[:, 5] >> np.uint64(9)
    high |= places[:, 0].astype(np.uint64) << np.uint64(1)
    for number in range(1, 16):
        high |= places[:, number].astype(np.uint64) << np.uint64(4 * number)
    return np.stack([low, high], axis=1).astype("<u8")
