"""Registry of all metrics behind one interface, for tables of pictures and stacks of maps.

A metric that does not apply (FLIP of a height map, angles of a photograph) returns None, which leaves a table's cell
empty. A metric whose package is missing names the package.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.image.levels import has_floats, to_values
from gscodec.metrics.flip import flip, flip_missing
from gscodec.metrics.hdr import hdr_flip, log_psnr
from gscodec.metrics.normals import normal_error_deg
from gscodec.metrics.perceptual import MIN_SIDE, lpips, lpips_missing
from gscodec.metrics.seen import covered, seen_psnr
from gscodec.metrics.ssim import ms_ssim, ssim
from gscodec.metrics.ssimulacra2 import MIN_SIDE as SSIMULACRA2_MIN_SIDE
from gscodec.metrics.ssimulacra2 import ssimulacra2
from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, Role, SampleType, channel_spans

Samples = npt.NDArray[np.float32]
Groups = Sequence[ChannelGroup]


@dataclass(frozen=True)
class Metric:
    """One quality figure of a decoded picture against its source."""

    name: str  # column name in tables
    label: str  # display name with unit
    higher_is_better: bool
    measure: Callable[[Samples, Samples, Groups], float | None]
    """Figure of source and decoded samples (H, W, C), 0..1 in the model's domain, with groups; None: not applicable."""
    missing: Callable[[], str | None] = lambda: None
    """Returns why the metric cannot be computed here, or None if it can."""


def psnr_by_group(source: Samples, decoded: Samples, groups: Groups) -> dict[str, float]:
    """PSNR in dB of each group of channels, by the group's name."""
    return {
        group.name: seen_psnr(source[:, :, channels], decoded[:, :, channels], (group,))
        for group, channels in channel_spans(groups)
    }


def visible(samples: Samples, groups: Groups) -> Samples | None:
    """The picture as displayed: gray or RGB, blended over black by its alpha; None for stacks and float pictures."""
    if len(groups) != 1 or groups[0].role not in {Role.COLOR, Role.ALBEDO} or has_floats(groups):
        return None
    alpha = groups[0].alpha
    if alpha is AlphaMode.NONE:
        return samples if samples.shape[2] in {1, 3} else None
    colour, cover = samples[:, :, :-1], samples[:, :, -1:]
    return colour * cover if alpha is AlphaMode.STRAIGHT else colour


def light_of(values: Samples, groups: Groups) -> Samples | None:
    """(H, W, 1 or 3) samples of the first gray or RGB float group, in the source's units; None if there is none."""
    for group, channels in channel_spans(groups):
        if group.sample_type is SampleType.FLOAT and group.role in COLOURS and group.n_channels in {1, 3}:
            return values[:, :, channels]
    return None


def _hdr_flip(source: Samples, decoded: Samples, groups: Groups) -> float | None:
    first, second = (light_of(to_values(samples, groups), groups) for samples in (source, decoded))
    return None if first is None or second is None else hdr_flip(first, second)


def _log_psnr(source: Samples, decoded: Samples, groups: Groups) -> float | None:
    """Log PSNR in dB over all float channels; None if there are none."""
    if not has_floats(groups):
        return None
    picked = float_channels(groups)
    first, second = (to_values(samples, groups)[:, :, picked] for samples in (source, decoded))
    return log_psnr(first, second)


def float_channels(groups: Groups) -> list[int]:
    """Indices of the channels with float samples."""
    kinds = [group.sample_type for group in groups for _ in range(group.n_channels)]
    return [channel for channel, kind in enumerate(kinds) if kind is SampleType.FLOAT]


def _seen(measure: Callable[[Any, Any], float | None]) -> Callable[[Samples, Samples, Groups], float | None]:
    def measured(source: Samples, decoded: Samples, groups: Groups) -> float | None:
        first, second = visible(source, groups), visible(decoded, groups)
        return None if first is None or second is None else measure(first, second)

    return measured


def _lpips(first: Samples, second: Samples) -> float | None:
    return lpips(first, second) if min(first.shape[:2]) >= MIN_SIDE else None


def _ssimulacra2(first: Samples, second: Samples) -> float | None:
    return ssimulacra2(first, second) if min(first.shape[:2]) >= SSIMULACRA2_MIN_SIDE else None


def _normal_error(source: Samples, decoded: Samples, groups: Groups) -> float | None:
    """Mean angular error in degrees of the first normal map; None if there is none."""
    for group, channels in channel_spans(groups):
        if group.role is Role.NORMAL and group.n_channels == 3:
            return normal_error_deg(source[:, :, channels], decoded[:, :, channels])
    return None


_ALL = (
    Metric("psnr", "PSNR (dB)", True, seen_psnr),
    Metric("ssim", "SSIM", True, lambda a, b, groups: ssim(covered(a, groups), covered(b, groups))),
    Metric("ms_ssim", "MS-SSIM", True, lambda a, b, groups: ms_ssim(covered(a, groups), covered(b, groups))),
    Metric("flip", "FLIP", False, _seen(flip), flip_missing),
    Metric("lpips", "LPIPS (AlexNet)", False, _seen(_lpips), lpips_missing),
    Metric("ssimulacra2", "SSIMULACRA2", True, _seen(_ssimulacra2)),
    Metric("normal_deg", "normal error (degrees)", False, _normal_error),
    Metric("log_psnr", "log PSNR (dB)", True, _log_psnr),
    Metric("hdr_flip", "HDR-FLIP", False, _hdr_flip, flip_missing),
)
METRICS = {metric.name: metric for metric in _ALL}
"""All metrics by name, in the order of a table's columns."""
