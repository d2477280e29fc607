"""A byte budget for a whole batch, allocated so that one more byte reduces the squared error equally in every item.

Each item is probed by two short fits. Its squared error D is modelled as a power of its size in bytes R,
D = a R^-b, so that the slope -dD/dR is the same over all items at R = (a b / slope)^(1 / (b + 1)) (Shoham and Gersho
1988). The slope at which all R add up to the budget is found by bisection.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from gscodec.batch.outcome import Outcome, Status, one_line
from gscodec.batch.plan import Item
from gscodec.batch.work import Options
from gscodec.errors import FileAccessError, GsCodecError, InvalidArgument

PROBE_STEPS: Final = 120
PROBE_PIXELS: Final = 128 * 128
"""Larger pictures are probed on an area-averaged copy of about this many pixels."""

PROBE_BPPC: Final = (0.15, 0.6)
PROBE_OVERHEAD: Final = 1024
"""Bytes added to a probe's budget for header and tables."""

LEAST_BYTES: Final = 256
"""Minimum bytes per item: enough for a small file of a picture and of most materials."""

KEY_BYTES: Final = 128
"""Bytes reserved per file for the item's key and the encoder's metadata."""

EXPONENTS: Final = (0.2, 2.0)
"""Range to which the exponent b of a probe is clamped."""


@dataclass(frozen=True)
class Slope:
    """Rate-distortion model of an item: squared error, summed over its samples, as a power of its bytes."""

    name: str
    a: float
    b: float
    most: int  # bytes beyond which the error no longer falls

    def bytes_at(self, slope: float) -> float:
        """Bytes at which one more byte reduces the squared error by `slope`."""
        wanted: float = (self.a * self.b / slope) ** (1 / (self.b + 1))
        return min(max(wanted, LEAST_BYTES), self.most)


@dataclass(frozen=True)
class ProbeTask:
    """The probe of one item, for a worker."""

    item: Item
    options: Options

    @property
    def name(self) -> str:
        """Name of the item."""
        return self.item.name

    def on(self, device: str) -> Self:
        """See `Task.on`."""
        return replace(self, options=replace(self.options, device=device))

    def run(self, report: Callable[[Any], None]) -> Slope | str:
        """The item's model, or the reason why it could not be probed."""
        del report
        try:
            return probe(self.item, self.options)
        except (GsCodecError, OSError, MemoryError) as fault:
            return one_line(fault)


def probe(item: Item, options: Options) -> Slope:
    """Measure an item with two short fits.

    Raises:
        GsCodecError: it cannot be read.
    """
    from gscodec.encoding.api import encode
    from gscodec.material.maps import load_source

    if item.fault:
        raise FileAccessError(item.fault)
    settings = item.settings
    stack = load_source(
        item.sources, part=settings.part, nan=settings.nan, limits=options.limits, overrides=settings.overrides
    )
    height, width, channels = stack.samples.shape
    step = max(1, math.ceil(math.sqrt(height * width / PROBE_PIXELS)))
    cut = stack.samples[: height // step * step, : width // step * step]
    shape = (height // step, step, width // step, step, channels)
    samples = cut.reshape(shape).mean(axis=(1, 3)) if step > 1 else stack.samples
    small = replace(stack, samples=samples, files=(), visible=None)
    points = []
    most = max(stack.samples.size * 2, LEAST_BYTES)
    for bppc in PROBE_BPPC:
        # Header and tables dominate small pictures, so their bytes are added.
        size = int(bppc * small.samples.size / 8) + PROBE_OVERHEAD
        result = encode(
            small,
            size=size,
            preset="fast",
            steps=PROBE_STEPS,
            lods=1,
            threads=options.threads,
            device=options.device,
        )
        if step == 1 and result.target_met and result.note:  # more bytes would not change the file
            most = min(most, len(result.data) + KEY_BYTES)
        points.append((len(result.data), 10 ** (-result.psnr / 10)))
    (r0, d0), (r1, d1) = points
    b = math.log(max(d0, 1e-12) / max(d1, 1e-12)) / math.log(r1 / r0) if r1 > r0 else EXPONENTS[0]
    b = min(max(b, EXPONENTS[0]), EXPONENTS[1])
    scale = height * width / (small.samples.shape[0] * small.samples.shape[1])
    a = d1 * stack.samples.size * (r1 * scale) ** b
    return Slope(item.name, a, b, most)


def spread(slopes: Sequence[Slope], total: int) -> dict[str, int]:
    """Bytes allocated to each item by name, at most `total` in sum.

    Raises:
        InvalidArgument: the budget is below the sum of the smallest files.
    """
    least = sum(min(LEAST_BYTES, slope.most) for slope in slopes)
    if total < least:
        raise InvalidArgument(f"a total of {total} bytes is too small for {len(slopes)} items; the minimum is {least}")
    low, high = 1e-30, 1e30  # slopes: a steeper slope means fewer bytes
    for _ in range(200):
        middle = math.sqrt(low * high)
        if sum(slope.bytes_at(middle) for slope in slopes) > total:
            low = middle
        else:
            high = middle
    return {slope.name: int(slope.bytes_at(high)) for slope in slopes}


def with_sizes(items: Sequence[Item], measured: Sequence[Slope | str], total: int) -> tuple[list[Item], list[Outcome]]:
    """Items with a size target each, and the failed outcomes of those that could not be read."""
    slopes = [slope for slope in measured if isinstance(slope, Slope)]
    sizes = spread(slopes, total) if slopes else {}
    planned, failed = [], []
    for item, slope in zip(items, measured, strict=True):
        if isinstance(slope, Slope):
            settings = item.settings.changed({"size": sizes[item.name]}, item.name)
            planned.append(replace(item, settings=settings))
        else:
            failed.append(Outcome(item.name, Status.FAILED, str(item.output), slope))
    return planned, failed
