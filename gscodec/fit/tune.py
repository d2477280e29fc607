"""What a fit is tuned for: the loss of its last part. What each choice is worth stands in benchmarks/notes/tune.md.

The first part keeps the squared error of a few pixels, which is cheap and places Gaussians best; the last one and the
quantisation-aware fine-tuning see every pixel and how it lies among its neighbours.
"""

from dataclasses import replace

from gscodec.errors import InvalidArgument
from gscodec.fit.presets import Preset
from gscodec.model.choices import TUNE_NAMES
from gscodec.model.rendering import LossWeights


def tuned(preset: Preset, tune: str) -> Preset:
    """The preset for another measure of quality; `psnr` is the preset itself.

    Raises:
        InvalidArgument: there is no such measure, or the preset is `paper`, whose loss is part of the recipe.
    """
    if tune not in TUNE_NAMES:
        raise InvalidArgument(f"tune {tune!r} is not known: use {', '.join(TUNE_NAMES)}")
    if tune == "psnr":
        return preset
    if preset.name == "paper":
        raise InvalidArgument(f"preset paper has the published loss; tune {tune} goes with the other presets")
    if tune == "balanced":
        return replace(preset, late_loss=LossWeights(l2=1.0, ssim=0.02), late_from=0.6, best_by="loss")
    # More new Gaussians where errors are small but many, which is where structure is lost.
    return replace(preset, late_loss=LossWeights(l2=1.0, ssim=0.1), late_from=0.3, error_power=1.5, best_by="loss")
