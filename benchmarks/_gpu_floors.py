"""What each kernel must do at least: bytes it has to move once, and operations it cannot do without.

A floor in time is the greater of bytes / bandwidth and operations / rate. Caches may beat the first for small scenes;
nothing beats the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.model.constants import TILE_SIZE


@dataclass(frozen=True)
class SceneFacts:
    """Sizes that a kernel's work depends on."""

    height: int
    width: int
    n_channels: int
    n_gaussians: int
    n_pairs: int
    n_tiles: int
    candidates: int  # (pixel, Gaussian of its tile's list), whole tiles
    blended: int  # of these, those within the K nearest

    @staticmethod
    def of(
        height: int, width: int, n_channels: int, n_gaussians: int, top_k: int, offsets: npt.NDArray[np.integer[Any]]
    ) -> "SceneFacts":
        """From the ends of the tile lists."""
        lengths = np.diff(offsets.astype(np.int64))
        area = TILE_SIZE * TILE_SIZE
        return SceneFacts(
            height,
            width,
            n_channels,
            n_gaussians,
            int(lengths.sum()),
            len(lengths),
            int(lengths.sum()) * area,
            int(np.minimum(lengths, top_k).sum()) * area,
        )

    @property
    def samples(self) -> int:
        """Values of the picture."""
        return self.height * self.width * self.n_channels


@dataclass(frozen=True)
class Work:
    """Least work of one step's launches of a kernel."""

    n_bytes: float
    operations: float = 0.0  # float32, a fused multiply-add counts once

    def floor_ms(self, bytes_per_s: float, operations_per_s: float) -> float:
        """The time that cannot be undercut."""
        return 1000.0 * max(self.n_bytes / bytes_per_s, self.operations / operations_per_s)


EVALUATION: Final = 6
"""Operations for q of one Gaussian at one pixel: two for U, two for V, two for the sum of their squares."""


def work_of(facts: SceneFacts) -> Mapping[str, Work]:
    """Least work by `family.entry`; kernels that only start and end have none."""
    f = facts
    n, p, c, columns = f.n_gaussians, f.n_pairs, f.n_channels, 5 + f.n_channels
    geometry = n * (2 + 6) * 8 + n * 8  # means, ellipses, rows of tiles
    picture = 4.0 * f.samples
    distances = float(EVALUATION * f.candidates)
    blend = float((c + 2) * f.blended)  # weight, its sum, and each channel
    moments = float((3 * c + 10) * f.blended)  # gradient of the weight, five moments, and each channel
    return {
        "tile_bin.count_pairs": Work(n * (5 + 4 + 6) * 8 + n * 12 + 4 * f.n_tiles),
        "tile_bin.scan_lists": Work(8 * (n + f.n_tiles)),
        "tile_bin.sum_chunks": Work(4 * (n + f.n_tiles)),
        "tile_bin.scan_chunks": Work(8 * (n + f.n_tiles)),
        "tile_bin.emit_pairs": Work(geometry + 4 * n + 8 * p),
        "tile_bin.sort_lists": Work(16 * p),
        "raster_forward.blend_tiles": Work(picture, distances + blend),
        "raster_backward.backward_tiles": Work(picture + 4 * columns * p, distances + blend + moments),
        # 12 bytes a pixel of choices; whoever fits with SSIM has them from blend_tiles.
        "raster_backward.chosen_backward_tiles": Work(
            2 * picture + 12.0 * f.height * f.width + 4 * columns * p, EVALUATION * f.blended + moments
        ),
        "fit.finish_step": Work(4 * (columns + 1) * p + 4 * columns * n + 48 * n),
        "loss.pointwise_loss": Work(3 * picture),
        "loss.ssim_loss": Work(3 * picture, 210.0 * f.samples),
        "fit.show": Work(4 * columns * n + 44 * n + geometry + 36 * n + 4 * f.n_tiles),
        "fit.adam_rows": Work(8 * 4 * columns * n),
    }
