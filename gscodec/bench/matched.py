"""Codecs brought to one file size, so that pictures can be looked at side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.bench.codecs import Codec, get_codec
from gscodec.bench.codecs.base import channels_of
from gscodec.bench.measure import file_name, kept_files
from gscodec.bench.plan import Plan
from gscodec.bench.sources import Source
from gscodec.bench.table import Row
from gscodec.bench.tables import codecs_of
from gscodec.image import ImageStack, to_unit
from gscodec.metrics import psnr

ROUNDS: Final = 8


@dataclass(frozen=True)
class Shown:
    """A decoded picture, for people to look at."""

    codec: str
    setting: str
    n_bytes: int
    psnr: float
    samples: npt.NDArray[np.float32]  # (H, W, C) in 0..1


def nearest_size(codec: Codec, stack: ImageStack, wanted: int, rounds: int = ROUNDS) -> tuple[str, bytes] | None:
    """Setting and file nearest to `wanted` bytes, by bisection of the codec's dial; None if it has no dial."""
    if codec.dial(0.0) is None:
        return None
    low, high = 0.0, 1.0
    tried: dict[str, bytes] = {}
    for level in (low, high, *([None] * rounds)):
        middle = (low + high) / 2 if level is None else level
        setting = codec.dial(middle)
        assert setting is not None
        if setting not in tried:
            tried[setting] = codec.encode(stack, setting)
        if level is None:
            low, high = (middle, high) if len(tried[setting]) < wanted else (low, middle)
    return min(tried.items(), key=lambda item: abs(len(item[1]) - wanted))


def shown_at(source: Source, stack: ImageStack, rows: Sequence[Row], plan: Plan, n_bytes: int) -> list[Shown]:
    """Codecs of the rows at about `n_bytes`, ours first: ours from kept files, rivals with a dial encoded for it."""
    result = []
    for name in codecs_of([row for row in rows if row["image"] == source.name]):
        codec = get_codec(name, plan.device, plan.threads)
        mine = [row for row in rows if row["image"] == source.name and row["codec"] == name]
        if codec.dial(0.5) is not None:
            found = nearest_size(codec, stack, n_bytes) if codec.available() is None else None
        else:
            found = _kept(codec, source, mine, plan.files, n_bytes)
        if found is not None:
            result.append(_shown(codec, stack, *found))
    return result


def _kept(
    codec: Codec, source: Source, rows: Sequence[Row], folder: Path | None, wanted: int
) -> tuple[str, bytes] | None:
    """The kept file nearest in size, if it is within a tenth."""
    row = min(rows, key=lambda row: abs(int(row["bytes"]) - wanted))
    if folder is None or abs(int(row["bytes"]) - wanted) > 0.1 * wanted:
        return None
    files = kept_files(folder, file_name(source.name, codec.name, row["setting"]), codec)
    return (row["setting"], files[0]) if len(files) == 1 else None


def _shown(codec: Codec, stack: ImageStack, setting: str, data: bytes) -> Shown:
    height, width, channels = stack.samples.shape
    decoded = codec.decode(data, height, width)
    samples = to_unit(channels_of(decoded, channels), stack.groups)
    return Shown(codec.name, setting, len(data), psnr(stack.samples, samples), samples)
