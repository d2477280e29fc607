"""The part that coarser levels of detail have in the objective of a fit.

A fit minimises ln e_0 + sum_l w_l ln e_l, where e_0 is the loss of all Gaussians, e_l that of coarser level l, and one
dB of this level is worth w_l dB of the whole. The gradient is, up to a factor, that of e_0 plus w_l e_0 / e_l times
that of each e_l. A coarser level moves slowly, so its gradient is renewed only now and then, on a part of the pixels,
and blended with those before it; every step adds what there is.
"""

from typing import Final

from gscodec.fit.presets import Preset
from gscodec.model.gaussians import Float32Array

RENEWED: Final = 0.6
"""Part of a new gradient, and of a new loss, in the blend with those before it."""


FURTHER: Final = 0.7
"""Worth of a level relative to that of the next finer one."""


def worth_of(preset: Preset, n_coarser: int) -> float:
    """Worth of one dB, in dB of the whole, of the level that is `n_coarser` levels, at least 1, below the finest."""
    return preset.coarse_worth * FURTHER ** (n_coarser - 1)


def weight_of(worth: float, whole: float, coarse: float) -> float:
    """Factor on the gradient of a coarser level beside that of the whole, from the losses of both."""
    return worth * min(whole / max(coarse, 1e-30), 1.0)


class CoarseGradients:
    """Blended gradients and losses of coarser levels, by level step."""

    def __init__(self, preset: Preset) -> None:
        self._preset = preset
        self._kept: dict[int, tuple[Float32Array, float]] = {}

    def clear(self) -> None:
        """Forget all, because another level has become the finest."""
        self._kept.clear()

    def renew(self, level: int, grad: Float32Array, loss: float) -> None:
        """Blend in a gradient (n, D) of the level's n Gaussians; the first one stays as it is."""
        if level not in self._kept:
            self._kept[level] = grad.copy(), loss
            return
        kept, kept_loss = self._kept[level]
        kept += RENEWED * (grad - kept)
        self._kept[level] = kept, kept_loss + RENEWED * (loss - kept_loss)

    def add_to(self, grad: Float32Array, finest: int, loss: float) -> None:
        """Add the coarser levels' part to the gradient (N, D) and loss of all Gaussians, the level step `finest`."""
        for level, (kept, kept_loss) in self._kept.items():
            weight = weight_of(worth_of(self._preset, finest - level), loss, kept_loss)
            grad[: len(kept)] += weight * kept
