"""Estimates the noise of a picture that its decoded file lacks: strength by luma, correlation, share of the channels.

Noise is what is left of the source without the decoded picture, in places where it has no structure. Blocks of pixels
are measured one by one. Of the blocks of a similar luma the quietest count, since noise is everywhere and texture is
not; and they count only if they are alike, their spectrum is flat, and their gradients have no common direction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.model.channels import ChannelGroup, channel_spans
from gscodec.model.grain import MAX_CORRELATION, N_STRENGTHS, STRENGTH_UNIT, Grain, may_have_grain, n_colours

BLOCK_PX: Final = 16
_CELL_PX: Final = 4

QUIET: Final = (0.02, 0.2)
"""Quantiles of the blocks of a luma, by variance, between which blocks count."""

LEAST_BLOCKS: Final = 16
"""Minimum number of blocks of a luma that is measured."""

LEAST_SHARE: Final = 0.5
"""Minimum fraction of the quiet blocks that must look like noise."""

MAX_COARSE: Final = 5.0
"""Maximum variance of the means over 4 x 4 px, relative to that of white noise. Structure reaches 16."""

MAX_COHERENCE: Final = 0.35
"""Maximum coherence of a block's gradients; white noise has about 0.1, an edge 1."""

MAX_SIDE: Final = 8
"""Maximum correlation that is estimated: longer-range noise cannot be distinguished from texture."""

MAX_SPREAD: Final = 1.2
"""Maximum ratio of the standard deviations of the quiet blocks, greatest to smallest: noise is the same everywhere, so
that the quiet blocks of its luma are alike; texture is not."""

LEAST_COVER: Final = 0.5
"""Minimum fraction of the picture, in blocks, whose luma has noise: noise of half a picture is texture."""

LEAST_STRENGTH: Final = 6
"""Minimum of the greatest strength, in STRENGTH_UNIT: weaker noise is not seen."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Blocks:
    """Measurements of blocks, one row each."""

    luma: _Array
    variance: _Array  # of the residual without its plane, mean of the channels
    coarse: _Array  # variance of the means of cells, relative to that of white noise
    coherence: _Array
    neighbour: _Array  # covariance of adjacent pixels
    shared: _Array  # covariance of different channels


class GrainEstimate:
    """The noise that a decoded picture lacks, collected from its parts.

    Args:
        groups: channel groups of the picture.
    """

    def __init__(self, groups: Sequence[ChannelGroup]) -> None:
        self._groups = groups
        self._parts: dict[int, list[_Blocks]] = {
            number: [] for number, group in enumerate(groups) if may_have_grain(group)
        }

    @property
    def applies(self) -> bool:
        """Whether any group can have grain."""
        return bool(self._parts)

    def add(
        self, rest: npt.NDArray[Any], shown: npt.NDArray[Any], visible: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Measure a part of the picture.

        Args:
            rest: float32 (h, w, C), what a decoder lacks: the source less the decoded picture, in the model's domain.
                The source itself shows whether there is noise at all.
            shown: float32 (h, w, C), the decoded picture or the source, for the luma of a block.
            visible: bool (h, w), pixels that count; None means all.
        """
        spans = channel_spans(self._groups)
        for number, parts in self._parts.items():
            group, channels = spans[number]
            colours = slice(channels.start, channels.start + n_colours(group))
            blocks = _measured(rest[..., colours], shown[..., colours], visible)
            if blocks is not None:
                parts.append(blocks)

    @property
    def grains(self) -> tuple[Grain, ...]:
        """Grain of each group that has noise."""
        grains = (_grain_of(number, parts) for number, parts in self._parts.items() if parts)
        return tuple(grain for grain in grains if grain is not None)


def _measured(rest: npt.NDArray[Any], shown: npt.NDArray[Any], visible: npt.NDArray[np.bool_] | None) -> _Blocks | None:
    """Measurements of the blocks that lie within an array (h, w, c) and are visible."""
    rows, columns = rest.shape[0] // BLOCK_PX, rest.shape[1] // BLOCK_PX
    if not rows or not columns:
        return None
    weights = np.array((1.0,) if rest.shape[2] == 1 else (0.25, 0.5, 0.25))
    luma = _blocks(shown).mean(axis=(1, 2)) @ weights
    rest = _without_planes(_blocks(rest))
    variance = np.square(rest).mean(axis=(1, 2, 3))
    gray = rest.mean(axis=3)
    cells = gray.reshape(-1, BLOCK_PX // _CELL_PX, _CELL_PX, BLOCK_PX // _CELL_PX, _CELL_PX).mean(axis=(2, 4))
    own = np.square(gray).mean(axis=(1, 2)) + 1e-12
    down = gray[:, 2:, 1:-1] - gray[:, :-2, 1:-1]  # no pixel in common, so that white noise has no direction
    across = gray[:, 1:-1, 2:] - gray[:, 1:-1, :-2]
    xx, yy, xy = (np.mean(a * b, axis=(1, 2)) for a, b in ((across, across), (down, down), (across, down)))
    neighbour = sum((part[:, 1:] * part[:, :-1]).mean(axis=(1, 2, 3)) for part in (rest, rest.swapaxes(1, 2))) / 2
    total = np.square(rest.sum(axis=3)).mean(axis=(1, 2))
    n = rest.shape[3]
    blocks = _Blocks(
        luma,
        variance,
        np.square(cells).mean(axis=(1, 2)) * _CELL_PX**2 / own,
        np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-12),
        neighbour,
        variance if n == 1 else (total - n * variance) / (n * (n - 1)),
    )
    if visible is None:
        return blocks
    return _picked(blocks, _blocks(visible[..., None]).min(axis=(1, 2, 3)) > 0)


def _blocks(values: npt.NDArray[Any]) -> _Array:
    """(n, BLOCK_PX, BLOCK_PX, c) blocks that lie within an array (h, w, c)."""
    rows, columns = values.shape[0] // BLOCK_PX, values.shape[1] // BLOCK_PX
    whole = values[: rows * BLOCK_PX, : columns * BLOCK_PX]
    parts = whole.reshape(rows, BLOCK_PX, columns, BLOCK_PX, values.shape[2]).swapaxes(1, 2)
    return np.asarray(parts.reshape(-1, BLOCK_PX, BLOCK_PX, values.shape[2]), np.float64)


def _without_planes(blocks: _Array) -> _Array:
    """Blocks less the plane that fits them best."""
    ramp = np.arange(BLOCK_PX) - (BLOCK_PX - 1) / 2
    ramp /= np.sqrt(np.square(ramp).sum() * BLOCK_PX)
    rest: _Array = blocks - blocks.mean(axis=(1, 2), keepdims=True)
    for plane in (ramp[:, None] * np.ones(BLOCK_PX), np.ones((BLOCK_PX, 1)) * ramp):
        slopes = np.einsum("nyxc,yx->nc", rest, plane)
        rest = rest - slopes[:, None, None, :] * plane[:, :, None]
    return rest


def _picked(blocks: _Blocks, which: npt.NDArray[np.bool_]) -> _Blocks:
    return _Blocks(*(getattr(blocks, name)[which] for name in _Blocks.__dataclass_fields__))


def _grain_of(number: int, parts: Sequence[_Blocks]) -> Grain | None:
    """Grain of a group, or None if it has none that is seen."""
    blocks = _Blocks(*(np.concatenate([getattr(p, name) for p in parts]) for name in _Blocks.__dataclass_fields__))
    nodes = np.rint(np.clip(blocks.luma, 0, 1) * (N_STRENGTHS - 1)).astype(int)
    floors: dict[int, float] = {}
    curve: list[tuple[float, float]] = []  # luma, standard deviation
    noisy: list[_Blocks] = []
    n_measured = n_noisy = 0
    for node in range(N_STRENGTHS):
        here = _picked(blocks, nodes == node)
        if len(here.luma) < LEAST_BLOCKS:
            continue
        low, high = np.quantile(here.variance, QUIET)
        quiet = _picked(here, (here.variance >= low) & (here.variance <= high))
        like = _picked(quiet, (quiet.coarse <= MAX_COARSE) & (quiet.coherence <= MAX_COHERENCE))
        is_noise = high <= MAX_SPREAD**2 * low and len(like.luma) >= max(1, LEAST_SHARE * len(quiet.luma))
        floors[node] = float(np.sqrt(low))
        n_measured += len(here.luma)
        if is_noise:
            noisy.append(like)
            n_noisy += len(here.luma)
            curve.append((float(like.luma.mean()), float(np.sqrt(np.median(like.variance)))))
            del floors[node]
    if not noisy or n_noisy < LEAST_COVER * n_measured:
        return None
    lumas, measured = np.array(curve).T
    deviations = np.interp(np.linspace(0, 1, N_STRENGTHS), lumas, measured)
    for node, floor in floors.items():  # lumas that have structure, too: no more than their quietest blocks
        deviations[node] = min(deviations[node], floor)
    strengths = np.clip(np.floor(deviations / STRENGTH_UNIT + 0.5), 0, 255).astype(int)
    if strengths.max() < LEAST_STRENGTH:
        return None
    total = sum(float(part.variance.sum()) for part in noisy)
    neighbour = sum(float(part.neighbour.sum()) for part in noisy) / total
    shared = sum(float(part.shared.sum()) for part in noisy) / total
    sides = np.arange(MAX_SIDE + 1)
    of_sides = 2 * sides * MAX_CORRELATION / (MAX_CORRELATION**2 + 2 * sides**2)
    correlation = int(np.argmin(np.abs(of_sides - neighbour)))
    independence = round(255 * (1 - min(max(shared, 0.0), 1.0)))
    return Grain(number, correlation, independence, tuple(int(s) for s in strengths))
