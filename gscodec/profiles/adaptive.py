"""An adaptive binary range coder: bits whose chances are learned on the way, so that a file needs no tables.

The interval arithmetic is that of the range coder of LZMA (Pavlov; after G. N. N. Martin, 1979). Chances come from
counts, as by Krichevsky and Trofimov (1981): they learn from the first bit on, which matters where there are few.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

CHANCE_BITS: Final = 12
MOST_COUNTED: Final = 512
"""Above that sum both counts of a context are halved, so that chances follow what changes."""

_FULL: Final = 0xFFFFFFFF
_TOP: Final = 1 << 24


class Context:
    """Counts of the values 0 and 1 of a kind of bit, each doubled and plus one."""

    __slots__ = ("ones", "zeros")

    def __init__(self) -> None:
        self.zeros = self.ones = 1

    def split(self, span: int) -> int:
        """The part of a span that stands for 0."""
        return (span >> CHANCE_BITS) * ((self.zeros << CHANCE_BITS) // (self.zeros + self.ones))

    def learn(self, bit: int) -> None:
        """Count a bit."""
        if bit:
            self.ones += 2
        else:
            self.zeros += 2
        if self.zeros + self.ones > MOST_COUNTED:
            self.zeros = (self.zeros + 1) >> 1
            self.ones = (self.ones + 1) >> 1


def cost_of(bits: npt.NDArray[np.bool_]) -> float:
    """Length, in bits, to which all bits of one context are coded, to within 0.0004 each; all at once."""
    zeros = ones = 1
    total, at = 0.0, 0
    while at < len(bits):
        part = bits[at : at + (MOST_COUNTED - zeros - ones) // 2 + 1]
        after = np.cumsum(part)
        before = 2 * (after - part)
        count_1 = ones + before
        count_0 = zeros + 2 * np.arange(len(part)) - before
        of_zero = (count_0 << CHANCE_BITS) // (count_0 + count_1)
        total -= float(np.log2(np.where(part, (1 << CHANCE_BITS) - of_zero, of_zero)).sum()) - CHANCE_BITS * len(part)
        ones += 2 * int(after[-1])
        zeros += 2 * (len(part) - int(after[-1]))
        if zeros + ones > MOST_COUNTED:
            zeros, ones = (zeros + 1) >> 1, (ones + 1) >> 1
        at += len(part)
    return total


class BitEncoder:
    """Bits to bytes."""

    def __init__(self) -> None:
        self._low, self._span, self._shifted = 0, _FULL, 0

    def bit(self, context: Context, bit: int) -> None:
        """Code a bit of that context."""
        split = context.split(self._span)
        context.learn(bit)
        self._narrow(split, bit)

    def raw(self, value: int, n_bits: int) -> None:
        """Code n_bits of a value, the highest first, as likely 0 as 1."""
        for k in range(n_bits - 1, -1, -1):
            self._narrow(self._span >> 1, value >> k & 1)

    def _narrow(self, split: int, bit: int) -> None:
        if bit:
            self._low += split
            self._span -= split
        else:
            self._span = split
        while self._span < _TOP:
            self._span <<= 8
            self._low <<= 8
            self._shifted += 1

    def bytes(self) -> bytes:
        """The shortest bytes that decode to what was coded; a decoder reads zeros after their end."""
        last, n_bytes = self._low + self._span - 1, self._shifted + 4
        for n_zero in range(8 * n_bytes, -1, -8):
            value = last >> n_zero << n_zero
            if value >= self._low:
                return value.to_bytes(n_bytes, "big").rstrip(b"\0")
        raise AssertionError  # n_zero 0 always does


class BitDecoder:
    """Bytes to bits, the inverse of `BitEncoder`."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._span = data, 4, _FULL
        self._code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    @property
    def at_end(self) -> bool:
        """Whether all bytes have been looked at."""
        return self._at >= len(self._data)

    def bit(self, context: Context) -> int:
        """The next bit, of that context."""
        bit = self._narrow(context.split(self._span))
        context.learn(bit)
        return bit

    def raw(self, n_bits: int) -> int:
        """The next n_bits, the highest first, as likely 0 as 1."""
        value = 0
        for _ in range(n_bits):
            value = value << 1 | self._narrow(self._span >> 1)
        return value

    def _narrow(self, split: int) -> int:
        bit = int(self._code >= split)
        if bit:
            self._code -= split
            self._span -= split
        else:
            self._span = split
        while self._span < _TOP:
            self._span <<= 8
            self._code = (self._code << 8 | (self._data[self._at] if self._at < len(self._data) else 0)) & _FULL
            self._at += 1
        return bit
