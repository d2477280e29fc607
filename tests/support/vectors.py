"""The conformance vectors of spec/vectors: the index, and the arrays and files that it names."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.model.channels import ChannelGroup, SampleType, channel_spans

VECTORS: Final = Path(__file__).parents[2] / "spec" / "vectors"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Vector:
    """One file that is to be decoded, and its entry of the index."""

    name: str
    entry: dict[str, Any]

    @property
    def path(self) -> Path:
        """The file."""
        return VECTORS / f"{self.name}.igs"

    def array(self, place: list[Any]) -> Array:
        """The array at [offset, type, shape] of the expected data."""
        offset, dtype, shape = place
        data = _expected(VECTORS / f"{self.name}.bin")
        return np.frombuffer(data, dtype, int(np.prod(shape)), offset).reshape(shape)


@cache
def _expected(path: Path) -> bytes:
    return path.read_bytes()


@cache
def index() -> dict[str, Any]:
    """The index as it is stored."""
    value: dict[str, Any] = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))
    return value


def vectors() -> list[Vector]:
    """All files that are to be decoded."""
    return [Vector(Path(entry["file"]).stem, entry) for entry in index()["decode"]]


def samples_of(values: Array, groups: tuple[ChannelGroup, ...]) -> list[Array]:
    """Samples (rows, columns, n) of each group, from the values of `IgsImage.render` as float32.

    Codes of groups of integers as uint8 or uint16, samples of groups of floats as float32.
    """
    found = []
    for group, channels in channel_spans(groups):
        part = values[..., channels]
        if group.sample_type is SampleType.FLOAT:
            found.append(part.astype("<f4"))
            continue
        top = 2**group.bit_depth - 1
        codes = np.floor(np.clip(part.astype(np.float64), 0, 1) * top + 0.5)
        found.append(codes.astype("<u2" if group.bit_depth > 8 else "u1"))
    return found


def largest_miss(got: Array, expected: Array, group: ChannelGroup) -> float:
    """Greatest difference of samples of a group, as a multiple of what README.md allows."""
    difference = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    if group.sample_type is SampleType.UINT:
        return float(difference.max() / (1 + (2**group.bit_depth - 1) / 32768))
    scale = np.maximum(np.abs(expected.astype(np.float64)), group.value_max - group.value_min)
    return float((difference / scale).max() / 5e-5)
