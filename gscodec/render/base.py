"""The renderer interface that every engine implements, and the choice among engines.

Binning is apart from blending so that each can be tested and timed alone. An engine computes the same function of the
same arguments as `reference`; it may only be faster.
"""

from typing import Any, Protocol

import numpy.typing as npt

from gscodec.model.constants import MAX_TILE_PAIRS
from gscodec.model.gaussians import Float32Array, Float64Array, GaussianSet, Grid, Window
from gscodec.model.rendering import GaussianGrads, LossWeights, OutputDtype, TileIndex


class Rasterizer(Protocol):
    """One engine."""

    name: str

    def bin(
        self,
        gaussians: GaussianSet,
        grid: Grid,
        tiles: tuple[int, int, int, int] | None = None,
        max_pairs: int = MAX_TILE_PAIRS,
    ) -> TileIndex:
        """Tile lists: the exact ellipse-tile test of spec/igs.md, "Tiles". `tiles` limits them to a rectangle.

        Raises:
            TooManyPairs: more than max_pairs entries; the oracle takes any number.
        """
        ...

    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> npt.NDArray[Any]:
        """(height, width, C) values at the window's points.

        float32 is the blend itself, not clamped. uint8 and uint16 are floor(clamp(v, 0, 1) * max + 0.5) of it.
        """
        ...

    def backward(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, grad_image: Float32Array) -> GaussianGrads:
        """Gradients for grad_image (height, width, C), the gradient to `forward` over `Window.whole(grid)`."""
        ...

    def sample(self, gaussians: GaussianSet, grid: Grid, index: TileIndex, points: Float64Array) -> Float32Array:
        """(M, C) values at points (M, 2) px. Equals `forward` wherever a point is one of its window's points."""
        ...

    def loss(
        self,
        image: Float32Array,
        target: Float32Array,
        weights: LossWeights,
        importance: Float32Array | None = None,
    ) -> tuple[float, Float32Array]:
        """The photometric loss of image (height, width, C) against target, and its gradient to image.

        Args:
            importance: float32 (height, width) or (C, height, width), what each pixel, or each of its channels, counts;
                None is 1 for all.
        """
        ...
