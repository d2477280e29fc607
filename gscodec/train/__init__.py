"""Training: target samples in, Gaussians out. Needs torch."""

from gscodec.train.block_encode import BlockProgress, BlockResult, BlockTask, encode_blocks
from gscodec.train.lattices import plain_lattice
from gscodec.train.loop import Fit, StepReport, fit, plan_of
from gscodec.train.pace import LEAST_STEPS, Pace
from gscodec.train.packed import settle_packed, typical_lattice
from gscodec.train.presets import PRESETS, Preset, get_preset
from gscodec.train.settle_task import SettleTask
from gscodec.train.settling import Settled, count_for, least_needed_first, settle, share_of
from gscodec.train.tune import TUNES, tuned

__all__ = [
    "LEAST_STEPS",
    "PRESETS",
    "TUNES",
    "BlockProgress",
    "BlockResult",
    "BlockTask",
    "Fit",
    "Pace",
    "Preset",
    "SettleTask",
    "Settled",
    "StepReport",
    "count_for",
    "encode_blocks",
    "fit",
    "get_preset",
    "least_needed_first",
    "plain_lattice",
    "plan_of",
    "settle",
    "settle_packed",
    "share_of",
    "tuned",
    "typical_lattice",
]
