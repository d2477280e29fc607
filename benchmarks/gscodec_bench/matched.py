"""Codecs brought to one file size, so that pictures can be looked at side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.image.levels import to_unit
from gscodec.image.stack import ImageStack
from gscodec.metrics import psnr
from gscodec_bench.codecs import Codec, get_codec, join, split
from gscodec_bench.measure import file_name, kept_files
from gscodec_bench.plan import Plan
from gscodec_bench.sources import Source
from gscodec_bench.table import Row
from gscodec_bench.tables import codecs_of

ROUNDS: Final = 8
SLACK: Final = 0.25
"""How far from the size wanted a codec without a dial may be to be shown at all; its caption has what it took."""

Files = tuple[bytes, ...]


@dataclass(frozen=True)
class Shown:
    """A decoded picture or stack, for people to look at."""

    codec: str
    setting: str
    n_bytes: int
    psnr: float
    samples: npt.NDArray[np.float32]  # (H, W, C) in 0..1


def nearest_size(codec: Codec, stack: ImageStack, wanted: int, rounds: int = ROUNDS) -> tuple[str, Files] | None:
    """Setting and files nearest to `wanted` bytes together, by bisection of the codec's dial; None if it has none."""
    if codec.dial(0.0) is None:
        return None
    parts = split(stack, codec.layout)
    tried: dict[str, Files] = {}

    def size_at(level: float) -> int:
        setting = codec.dial(level)
        assert setting is not None
        if setting not in tried:
            tried[setting] = tuple(codec.encode(part, setting) for part in parts)
        return sum(map(len, tried[setting]))

    low, high = 0.0, 1.0
    size_at(low)
    size_at(high)
    for _ in range(rounds):
        middle = (low + high) / 2
        low, high = (middle, high) if size_at(middle) < wanted else (low, middle)
    return min(tried.items(), key=lambda item: abs(sum(map(len, item[1])) - wanted))


def shown_at(source: Source, stack: ImageStack, rows: Sequence[Row], plan: Plan, n_bytes: int) -> list[Shown]:
    """Codecs of the rows at about `n_bytes`, ours first: those with a dial encoded for it, others from kept files."""
    result = []
    own = [row for row in rows if row["image"] == source.name]
    for name in codecs_of(own):
        codec = get_codec(name, plan.device, plan.threads)
        if codec.available() is not None:
            continue
        found = nearest_size(codec, stack, n_bytes)
        if found is None:
            found = _kept(codec, source, [row for row in own if row["codec"] == name], plan.files, n_bytes)
        if found is not None:
            result.append(_shown(codec, stack, *found))
    return result


def _kept(
    codec: Codec, source: Source, rows: Sequence[Row], folder: Path | None, wanted: int
) -> tuple[str, Files] | None:
    """The kept files nearest in size, if they are near at all."""
    row = min(rows, key=lambda row: abs(int(row["bytes"]) - wanted))
    if folder is None or abs(int(row["bytes"]) - wanted) > SLACK * wanted:
        return None
    files = kept_files(folder, file_name(source.name, codec.name, row["setting"]), codec)
    return (row["setting"], files) if files else None


def _shown(codec: Codec, stack: ImageStack, setting: str, files: Files) -> Shown:
    height, width, _ = stack.samples.shape
    decoded = join([codec.decode(data, height, width) for data in files], stack, codec.layout)
    samples = to_unit(decoded, stack.groups)
    return Shown(codec.name, setting, sum(map(len, files)), psnr(stack.samples, samples), samples)
