"""Encoder presets: every constant of a fit, with its source.

`paper` is Image-GS as published. The others are ours; benchmarks/notes/encoder.md has the effect of each choice.
Lengths that depend on the density of Gaussians are in units of the mean spacing sqrt(H W / N) px.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from gscodec.errors import InvalidArgument
from gscodec.model.adam import AdamConstants
from gscodec.model.constants import SUPPORT_Q, TOP_K
from gscodec.model.rendering import LossWeights


@dataclass(frozen=True)
class Preset:
    """All settings of a fit except the picture, the budget and the seed."""

    name: str
    steps: int
    loss: LossWeights
    best_by: Literal["error", "loss"]
    """Quantity whose minimum selects the state that is kept."""

    top_k: int
    support_q: float

    samples_per_gaussian: float
    """Minimum number of pixels per Gaussian in a step of the CPU engine; 0 uses all pixels in every step. Pixels left
    out of a step are used in the following ones."""
    qat_steps: int
    """Steps of quantisation-aware fine-tuning (QAT) after the fit, in which values are fixed on the file's lattice."""
    sparse_steps: float
    """Factor on `steps` if even the whole set is trained on pixel subsets: such steps cost a third and gain less
    each."""

    scale_parameter: Literal["inverse", "log"]
    """Parameter that Adam updates: the inverse scale itself (paper, Section 4.1), or its logarithm."""
    position_unit: Literal["image", "sigma"]
    """Unit of rate_mean: the image's sides, or a Gaussian's initial standard deviation."""
    rate_mean: float
    rate_scale: float
    rate_rotation: float
    rate_feature: float
    adam: AdamConstants
    decay_from: float
    """Fraction of the steps after which rates fall along a cosine to decay_to; 1 keeps them constant."""
    decay_to: float

    start_share: float
    """Fraction of the Gaussians present at the first step."""
    growth_events: int
    growth_until: float
    """Fraction of the steps after which the set is complete."""
    growth: Literal["linear", "geometric"]
    uniform_share: float
    """Lambda of Eq. 6."""
    relocations: int
    """Number of times, evenly from growth_until to relocation_until, that low-contribution Gaussians are moved to where
    the error is large."""
    relocated_share: float
    """Fraction of the Gaussians that is moved each time."""
    relocation_until: float

    blob_sizes: tuple[float, ...]
    """Standard deviations, in mean spacings, of the blobs that are placed at peaks of their gain (`fit.peaks`). Without
    any, and where peaks run out, Gaussians are drawn by the error, with growth_sigma."""
    blob_exponent: float
    """Exponent: blobs are ranked by their gain over their area at 0, by their gain at 1."""
    blob_reach: float
    """Half the side, in standard deviations, of the square around a new blob without another."""
    error_power: float
    """Exponent: new positions are drawn with probability proportional to |error|^power (1 in Eq. 7)."""
    error_blur: float
    """Radius, in mean spacings, of the box filter over the error; 0 means no filter."""
    jitter: bool
    """Place Gaussians anywhere in the drawn pixel instead of at its centre."""
    start_sigma: float
    growth_sigma: float
    sigma_unit: Literal["px", "spacing"]
    stretch: float
    """Elongation of new Gaussians along the picture's structure: half the logarithm of the ratio of standard deviations
    on a straight edge; 0 starts with circles."""
    max_sigma_px: float
    widening: float
    """Fraction of rate_scale by which Gaussians widen in each step, against the loss. With normalised blending the loss
    hardly penalises sharpness, so Gaussians shrink until they leave tiles that they contribute to, which no gradient
    shows."""

    reach: float
    """Fraction of the support, in q, within which Gaussians are kept near the tiles they contribute to; 0 disables
    it."""

    joint_lods: bool
    """Train prefixes together with the whole set; otherwise levels of detail are slices of the finished fit."""
    coarse_worth: float
    """What one dB of the next coarser level is worth in training, in dB of the whole; see `fit.coarse`."""
    coarse_every: int
    """Steps between two passes of a coarser level, which renew the gradient that it adds to every step."""
    gain_exponent: float
    """Gains start at (n_l / N)^exponent on the inverse scales (reasons in spec/rationale.md)."""
    rate_gain: float


PAPER: Final = Preset(
    name="paper",
    steps=5000,  # Section 4.1
    loss=LossWeights(l1=1.0, ssim=0.1),  # Section 4.1: L1 + 0.1 L_SSIM
    best_by="error",
    top_k=10,  # Section 4.1: K
    support_q=SUPPORT_Q,  # Section 3.2 has the circle of 3 standard deviations; the ellipse of 3 alone leaves holes
    samples_per_gaussian=0.0,  # Section 4.1: every pixel, every step
    qat_steps=500,  # not in the paper, which stores 16-bit values
    sparse_steps=1.0,
    scale_parameter="inverse",  # Section 4.1
    position_unit="image",  # Section 4.1: the image domain is [0, 1]^2
    rate_mean=5e-4,  # Section 4.1, as the next three
    rate_scale=2e-3,
    rate_rotation=2e-3,
    rate_feature=5e-3,
    adam=AdamConstants(0.9, 0.999, 1e-8),  # the published defaults, which the paper does not change
    decay_from=1.0,  # Section 4.1: constant rates
    decay_to=1.0,
    start_share=0.5,  # Section 4.1: N/2 at first, N/8 every 500 of 5,000 steps, so complete at 2,000
    growth_events=4,
    growth_until=0.4,
    growth="linear",
    uniform_share=0.3,  # Section 4.1: lambda_init
    relocations=0,  # not in the paper, as the next two
    relocated_share=0.0,
    relocation_until=0.4,
    blob_sizes=(),  # Eq. 7 draws by the error of pixels
    blob_exponent=0.0,
    blob_reach=0.0,
    error_power=1.0,  # Eq. 7
    error_blur=0.0,
    jitter=False,  # Section 3.3: only pixel centres are sampled
    start_sigma=5.0,  # Section 4.1: 5 pixels
    growth_sigma=5.0,
    sigma_unit="px",
    stretch=0.0,
    max_sigma_px=512.0,  # Section 3.1 clips to valid ranges without naming them
    widening=0.0,
    reach=0.0,
    joint_lods=False,
    coarse_worth=0.0,
    coarse_every=1,
    gain_exponent=0.0,
    rate_gain=0.0,
)

BALANCED: Final = Preset(
    name="balanced",
    steps=2000,
    loss=LossWeights(l2=1.0),
    best_by="error",
    top_k=TOP_K,
    support_q=SUPPORT_Q,
    samples_per_gaussian=40.0,
    qat_steps=200,
    sparse_steps=1.75,
    scale_parameter="log",
    position_unit="sigma",
    rate_mean=0.06,
    rate_scale=0.12,
    rate_rotation=0.03,
    rate_feature=0.015,
    adam=AdamConstants(0.9, 0.99, 1e-12),
    decay_from=0.5,
    decay_to=0.02,
    start_share=1 / 16,
    growth_events=8,
    growth_until=0.4,
    growth="geometric",
    uniform_share=0.3,
    relocations=3,
    relocated_share=0.06,
    relocation_until=0.6,
    blob_sizes=(0.15, 0.3, 0.6, 1.2),
    blob_exponent=0.25,
    blob_reach=1.5,
    error_power=2.0,
    error_blur=0.2,
    jitter=True,
    start_sigma=0.5,
    growth_sigma=0.3,
    sigma_unit="spacing",
    stretch=0.0,
    max_sigma_px=64.0,
    widening=0.025,
    reach=0.95,
    joint_lods=True,
    coarse_worth=0.1,
    coarse_every=8,
    gain_exponent=0.35,
    rate_gain=0.02,
)

FAST: Final = replace(
    BALANCED,
    name="fast",
    steps=350,
    qat_steps=80,
    sparse_steps=1.5,
    adam=AdamConstants(0.9, 0.95, 1e-12),  # few steps: second moments must follow growth and falling errors
    growth_until=0.33,
    relocation_until=0.5,
    rate_mean=0.1,
    rate_scale=0.13,
    rate_rotation=0.05,
    rate_feature=0.025,
    stretch=0.6,
)
DRAFT: Final = replace(
    FAST,
    name="draft",
    steps=100,
    qat_steps=20,
    growth_until=0.3,
    relocations=1,
    relocation_until=0.5,
    rate_mean=0.14,
    rate_scale=0.16,
    rate_feature=0.035,
    # Too few steps to shrink far: many and small from the start, which also keeps tile lists short.
    start_share=1 / 4,
    growth_events=4,
    blob_sizes=(0.09, 0.18, 0.36, 0.72),
    start_sigma=0.3,
    growth_sigma=0.22,
)
BEST: Final = replace(BALANCED, name="best", steps=6000, qat_steps=600)

PRESETS: Final = {preset.name: preset for preset in (PAPER, DRAFT, FAST, BALANCED, BEST)}


def get_preset(name: str) -> Preset:
    """The preset named `name`.

    Raises:
        InvalidArgument: there is no such preset.
    """
    if name not in PRESETS:
        raise InvalidArgument(f"preset {name!r} is not known: use {', '.join(PRESETS)}")
    return PRESETS[name]
