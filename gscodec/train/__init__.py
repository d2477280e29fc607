"""Training: target samples in, Gaussians out. Needs torch."""

from gscodec.train.block_encode import BlockProgress, BlockResult, BlockTask, encode_blocks
from gscodec.train.loop import Fit, StepReport, fit
from gscodec.train.presets import PRESETS, Preset, get_preset
from gscodec.train.settling import Settled, SettleTask, count_for, settle

__all__ = [
    "PRESETS",
    "BlockProgress",
    "BlockResult",
    "BlockTask",
    "Fit",
    "Preset",
    "SettleTask",
    "Settled",
    "StepReport",
    "count_for",
    "encode_blocks",
    "fit",
    "get_preset",
    "settle",
]
