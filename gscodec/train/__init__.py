"""Training: target samples in, Gaussians out. Needs torch."""

from gscodec.train.loop import Fit, StepReport, fit
from gscodec.train.presets import PRESETS, Preset, get_preset
from gscodec.train.settling import Settled, SettleTask, settle

__all__ = ["PRESETS", "Fit", "Preset", "SettleTask", "Settled", "StepReport", "fit", "get_preset", "settle"]
