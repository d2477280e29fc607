"""The steps of a file of profile `small`: a byte each, from which the lattice follows."""

from dataclasses import dataclass
from typing import Final

FEATURE_UNITS: Final = 4
"""Units of 1/32 octave between neighbouring steps of features: an eighth of an octave."""

MAX_STEP: Final = 255
MAX_SCALE_STEP: Final = 64


@dataclass(frozen=True)
class SmallSteps:
    """Values of the header's fields of the same names (spec/igs.md, section 10.1)."""

    scale_step: int  # 1..64, units of 1/32 octave
    position_offset: int  # 0..255, units
    turn: int  # 0..255, units: the more, the finer are rotations
    colours: int  # 1 where three channels of a group are luma and chroma
    feature_step: tuple[int, ...]  # (C,) 0..255: the step is 2^(-v / 8)
