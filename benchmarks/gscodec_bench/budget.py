"""What a codec makes of a budget of bytes: its best setting whose files are no larger."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.image.levels import to_unit
from gscodec.image.stack import ImageStack
from gscodec_bench.codecs import Codec, Igs, join, split

DIAL_STEPS: Final = 200
"""Places of a codec's dial that a search may take: each quality of 0 to 100, distances of JPEG XL 0.125 apart."""

Files = tuple[bytes, ...]


@dataclass
class Search:
    """Files of one codec and picture by setting, so that several budgets share what they tried."""

    codec: Codec
    stack: ImageStack
    tried: dict[str, Files] = field(default_factory=dict)

    def largest_within(self, budget_bytes: int) -> tuple[str, Files]:
        """The setting with the largest files of at most `budget_bytes`; the smallest files if none are that small.

        By bisection of the dial: sizes rise with it, but for rare steps that the search may stop at.
        """
        low, high = 0, DIAL_STEPS + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._size(middle) <= budget_bytes else (low, middle)
        setting = self._setting(low)
        return setting, self._files(setting)

    def _size(self, step: int) -> int:
        return sum(map(len, self._files(self._setting(step))))

    def _files(self, setting: str) -> Files:
        if setting not in self.tried:
            self.tried[setting] = tuple(
                self.codec.encode(part, setting) for part in split(self.stack, self.codec.layout)
            )
        return self.tried[setting]

    def _setting(self, step: int) -> str:
        setting = self.codec.dial(step / DIAL_STEPS)
        assert setting is not None, "has no dial"
        return setting


def budget_bytes(stack: ImageStack, rate: float) -> int:
    """Bytes of a picture at `rate` bits per pixel, rounded down."""
    height, width, _ = stack.samples.shape
    return int(rate * height * width / 8)


def can_search(codec: Codec) -> bool:
    """Whether a codec can be given a budget: ours takes it as its target, others need a dial."""
    return isinstance(codec, Igs) or codec.dial(0.0) is not None


def decoded(codec: Codec, stack: ImageStack, files: Files) -> npt.NDArray[np.float32]:
    """(H, W, C) samples of a codec's files in 0..1, at the source's depth."""
    height, width, _ = stack.samples.shape
    return to_unit(join([codec.decode(data, height, width) for data in files], stack, codec.layout), stack.groups)
