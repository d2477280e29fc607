"""Constants shared by the model, the container and the engines.

The rendering constants are defaults of the encoder; every file states its own values (spec/igs.md, section 4.2).
"""

from typing import Final

TILE_SIZE: Final = 16
"""Side of a tile in stored pixels. Part of the model, not of an engine (spec/igs.md, section 3.3)."""

TOP_K: Final = 10
"""Gaussians blended per point (paper, Section 3.2: K = 10)."""

SUPPORT_Q: Final = 25.0
"""Squared Mahalanobis radius of the support ellipse. Five standard deviations, where the paper has three: weights are
relative to the nearest Gaussian, so sharp edges make Gaussians shrink, and with a small support they drop out of tiles
that they ought to fill (benchmarks/notes/encoder.md has figures)."""

MAX_TOP_K: Final = 32
"""Largest K a file may ask for; engines keep K values per point in registers or on the stack."""

MAX_CHANNELS: Final = 64
"""Feature channels of one file: more than a dozen PBR maps need."""

MAX_DIMENSION: Final = 1 << 20
"""Largest width or height in pixels, so that tile coordinates fit 16 bits."""

MAX_GAUSSIANS: Final = 1 << 26
"""Largest Gaussian count: 1 GiB of RGB `f16` records."""

MAX_LODS: Final = 16
"""Largest number of levels of detail."""

MIN_INV_SCALE: Final = 2.0**-14
"""Smallest inverse scale per px: the smallest normal float16, a standard deviation of 16,384 px."""

MAX_INV_SCALE: Final = 64.0
"""Largest inverse scale per px: a standard deviation of 1/64 px, far below what a pixel grid can show."""

MAX_FEATURE: Final = 65504.0
"""Largest magnitude of a feature: the largest finite float16."""

MAX_IMAGE_PIXELS: Final = 1 << 30
"""Largest source or output picture, in pixels, that is held in memory whole: 32768 x 32768."""

LARGE_PIXELS: Final = 1 << 25
"""Pictures of more pixels are encoded block by block, and read and written in parts where their file type allows. A fit
of this many pixels at once takes about 3 GiB."""

DEFAULT_STRENGTH: Final = 4.0
"""Weight of an error where the importance map is 1, relative to one where it is 0."""

MAX_STRENGTH: Final = 1000.0
"""Maximum strength: beyond it, unimportant areas would hardly be fitted at all."""

DEFAULT_LODS: Final = 4
"""Default number of levels of detail that an encode writes, at least, of files of 8 KiB and more."""

MAX_HALVES: Final = 7
"""Most levels of detail that an encode nests in the finest set, besides the whole."""

LEAST_SHARE: Final = 0.95
"""Minimum share of a size target that a file uses, unless more bytes would not improve it."""

EXACT_DB: Final = 999.0
"""PSNR in dB recorded for an exact file: JSON has no infinity."""

DEFAULT_PAGE_SIZE: Final = 128
"""Gaussian records per page of `f16`, 2 KiB for RGB: one point of a 100 MB file reads 65 KiB (86 with 4 KiB pages)."""

MAX_TILE_PAIRS: Final = 1 << 28
"""(tile, Gaussian) pairs of one index, 1 GiB: far above any real picture, a bound on hostile ones."""
