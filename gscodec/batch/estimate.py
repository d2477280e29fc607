"""Estimates size and time of a batch from a few of its items."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gscodec.batch.plan import Item
from gscodec.batch.work import Options
from gscodec.errors import GsCodecError
from gscodec.image.load import picture_size

MOST_MEASURED: Final = 3
"""Maximum number of items that are measured."""

PATIENCE_SECONDS: Final = 1.5
"""Time for which each of them is encoded."""


@dataclass(frozen=True)
class BatchEstimate:
    """Expected result of a batch."""

    n_items: int
    n_pixels: int
    n_bytes: int
    seconds: float
    n_measured: int


def estimate_batch(items: Sequence[Item], options: Options, jobs: int) -> BatchEstimate | None:
    """What the items are expected to take; None if none of them can be measured.

    Rates and times per pixel are those of a small, a middle and a large item.

    Args:
        items: to be encoded.
        jobs: number of items in parallel.
    """
    pixels = {item.name: _pixels(item) for item in items}
    known = sorted((item for item in items if pixels[item.name]), key=lambda item: pixels[item.name])
    if not known:
        return None
    middle = pixels[known[len(known) // 2].name]
    sizes = [pixels[item.name] or middle for item in items]
    chosen = dict.fromkeys(round(k * (len(known) - 1) / (MOST_MEASURED - 1)) for k in range(MOST_MEASURED))
    measured = [result for number in chosen if (result := _measured(known[number], options)) is not None]
    if not measured:
        return None
    total = sum(n_pixels for n_pixels, _, _ in measured)
    bytes_per_pixel = sum(n_bytes for _, n_bytes, _ in measured) / total
    seconds_per_pixel = sum(seconds for _, _, seconds in measured) / total
    return BatchEstimate(
        len(items),
        sum(sizes),
        round(bytes_per_pixel * sum(sizes)),
        seconds_per_pixel * sum(sizes) / max(1, min(jobs, len(items))),
        len(measured),
    )


def _pixels(item: Item) -> int:
    """Pixels of the item's largest picture, from the headers; 0 if unknown."""
    sizes = []
    for path in item.sources:
        with suppress(GsCodecError, OSError):
            height, width = picture_size(path)
            sizes.append(height * width)
    return max(sizes, default=0)


def _measured(item: Item, options: Options) -> tuple[int, int, float] | None:
    """Pixels, bytes and seconds of an item; None if it cannot be encoded."""
    from gscodec.encoding.estimate import estimate
    from gscodec.image.stack import ImageStack
    from gscodec.material.load_picture import load_picture

    settings = item.settings
    close: Callable[[], object] = lambda: None  # noqa: E731
    try:
        stack = load_picture(
            item.sources, part=settings.part, nan=settings.nan, limits=options.limits, overrides=settings.overrides
        )
        close = getattr(stack, "close", close)
        height, width, channels = stack.samples.shape if isinstance(stack, ImageStack) else stack.shape
        result = estimate(
            stack,
            settings.for_samples(),
            n_pixels=height * width,
            n_channels=channels,
            device=options.device,
            threads=options.threads,
            limits=options.limits,
            patience=PATIENCE_SECONDS,
        )
    except (GsCodecError, OSError, MemoryError):
        return None
    finally:
        close()
    return height * width, result.n_bytes, result.seconds
