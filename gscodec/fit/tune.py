"""Tuning of a fit: the loss of its last part. benchmarks/notes/tune.md has the effect of each choice.

The first part keeps the squared error on pixel subsets, which is cheap and places Gaussians best; the last part and the
quantisation-aware fine-tuning use every pixel and its neighbourhood.
"""

from dataclasses import replace

from gscodec.errors import InvalidArgument
from gscodec.fit.presets import Preset
from gscodec.model.choices import TUNE_NAMES
from gscodec.model.rendering import LossWeights


def tuned(preset: Preset, tune: str) -> Preset:
    """The preset tuned for another measure of quality; `psnr` returns the preset unchanged.

    Raises:
        InvalidArgument: the measure is unknown, or the preset is `paper`, whose loss is part of the published method.
    """
    if tune not in TUNE_NAMES:
        raise InvalidArgument(f"tune {tune!r} is not known: use {', '.join(TUNE_NAMES)}")
    if tune == "psnr":
        return preset
    if preset.name == "paper":
        raise InvalidArgument(f"preset paper uses the published loss; tune {tune} needs another preset")
    if tune == "visual":
        return preset  # its weights are those of the pixels: `material.masking`
    if tune == "balanced":
        return replace(preset, late_loss=LossWeights(l2=1.0, ssim=0.02), late_from=0.6, best_by="loss")
    # More new Gaussians where errors are small but many, which is where structure is lost.
    return replace(preset, late_loss=LossWeights(l2=1.0, ssim=0.1), late_from=0.3, error_power=1.5, best_by="loss")
