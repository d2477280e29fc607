"""Training: target samples in, Gaussians out. Needs torch."""

from gscodec.train.loop import Fit, StepReport, fit
from gscodec.train.presets import PRESETS, Preset, get_preset

__all__ = ["PRESETS", "Fit", "Preset", "StepReport", "fit", "get_preset"]
