"""The codec's picture model: a set of 2D Gaussians, the pixel grid they are rendered on, and levels of detail.

Conventions: Pixel (0, 0) of the stored image has its centre at (0.5, 0.5) px; x runs right, y runs down.
A Gaussian has a mean m (px), inverse scales s (1/px, the reciprocals of its standard deviations) and a rotation
theta. With (dx, dy) = point - m,

    U = s[0] * ( cos(theta) * dx + sin(theta) * dy)
    V = s[1] * (-sin(theta) * dx + cos(theta) * dy)
    q = U * U + V * V                                    (paper, Eq. 1-2; spec/igs.md, section 3.2)

so theta turns the first axis from +x towards +y. The weight is exp(-q / 2); there is no opacity.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument
from gscodec.model.constants import SUPPORT_Q, TILE_SIZE, TOP_K

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class GaussianSet:
    """N Gaussians with C features each, coarsest level of detail first.

    Geometry is float64 so that every engine derives the same tile lists from it; features are float32.
    """

    means: Float64Array  # (N, 2) x, y in px of the stored image
    inv_scales: Float64Array  # (N, 2) 1/px, > 0
    rotations: Float64Array  # (N,) rad
    features: Float32Array  # (N, C) one value per channel, 0..1 for integer samples, not clamped

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        shapes = (self.means.shape, self.inv_scales.shape, self.rotations.shape, self.features.shape)
        if shapes[:3] != ((n, 2), (n, 2), (n,)) or len(shapes[3]) != 2 or shapes[3][0] != n:
            raise InvalidArgument(f"GaussianSet: shapes {shapes} are not (N, 2), (N, 2), (N,), (N, C)")

    @classmethod
    def of_float32(
        cls, means: npt.ArrayLike, inv_scales: npt.ArrayLike, rotations: npt.ArrayLike, features: npt.ArrayLike
    ) -> "GaussianSet":
        """A copy of (N, 2), (N, 2), (N,) and (N, C) arrays, rounded to float32 as values in training are."""
        where, widths, angles = (
            np.array(np.asarray(field, np.float32), np.float64, order="C") for field in (means, inv_scales, rotations)
        )
        return cls(where, widths, angles, np.array(features, np.float32, order="C"))

    def __len__(self) -> int:
        return int(self.means.shape[0])

    @property
    def n_channels(self) -> int:
        """Features per Gaussian, C."""
        return int(self.features.shape[1])

    def __getitem__(self, which: slice | npt.NDArray[np.intp]) -> "GaussianSet":
        """The Gaussians selected by a slice or an index array, in that order."""
        return GaussianSet(self.means[which], self.inv_scales[which], self.rotations[which], self.features[which])


def joined(sets: list[GaussianSet]) -> GaussianSet:
    """Concatenation of one or more sets."""
    return GaussianSet(
        *(
            np.concatenate([getattr(s, field) for s in sets])
            for field in ("means", "inv_scales", "rotations", "features")
        )
    )


@dataclass(frozen=True)
class Grid:
    """The stored image and the constants of its rendering model (spec/igs.md, section 3)."""

    height: int  # px
    width: int  # px
    background: Float32Array  # (C,) colour of points in tiles without Gaussians
    top_k: int = TOP_K
    support_q: float = SUPPORT_Q
    scale_log2: int = 0  # of a coarser set in the making: binary logarithm of the side of its pixels, px of the file

    @property
    def tiles_shape(self) -> tuple[int, int]:
        """Rows and columns of tiles that cover the image."""
        return -(-self.height // TILE_SIZE), -(-self.width // TILE_SIZE)


@dataclass(frozen=True)
class Window:
    """An axis-aligned lattice of points: row r, column c lies at (x + (c + 0.5) * step_x, y + (r + 0.5) * step_y) px.

    Steps of 1 with integer x, y are the stored image's own pixel centres.
    """

    x: float
    y: float
    height: int
    width: int
    step_x: float = 1.0
    step_y: float = 1.0

    @staticmethod
    def whole(grid: Grid) -> "Window":
        """Every pixel centre of the stored image."""
        return Window(0.0, 0.0, grid.height, grid.width)

    @staticmethod
    def every(stride: int, grid: Grid) -> "Window":
        """The centres of every stride-th pixel of the stored image both ways, from pixel stride // 2 on."""
        first = stride // 2
        height, width = (len(range(first, size, stride)) for size in (grid.height, grid.width))
        corner = first + 0.5 - 0.5 * stride
        return Window(corner, corner, height, width, stride, stride)


@dataclass(frozen=True)
class LodTable:
    """Gaussians shown by each level of detail, and factors on their inverse scales.

    `counts` are cumulative and increasing, coarsest step first: step m shows the first counts[m] Gaussians. LOD 0 is
    the finest, so LOD l is step len(counts) - 1 - l. Generation g holds Gaussians counts[g-1] .. counts[g] - 1, and
    gains[m][g] multiplies their inverse scales when step m is shown (spec/igs.md, section 3.6).
    """

    counts: tuple[int, ...]
    gains: tuple[tuple[float, ...], ...]  # gains[m] has m + 1 entries

    def __post_init__(self) -> None:
        if [len(row) for row in self.gains] != list(range(1, len(self.counts) + 1)):
            raise InvalidArgument("LodTable: gains must be triangular, one row per level")

    def __len__(self) -> int:
        return len(self.counts)

    def step_of(self, lod: int) -> int:
        """The row of `counts` and `gains` that belongs to LOD `lod`, which must exist."""
        return len(self.counts) - 1 - lod

    def count(self, lod: int) -> int:
        """Number of Gaussians that LOD `lod` shows."""
        return self.counts[self.step_of(lod)]

    @staticmethod
    def single(n_gaussians: int) -> "LodTable":
        """A table with one level that shows all n_gaussians as stored."""
        return LodTable((n_gaussians,), ((1.0,),))

    def ending_at(self, n_gaussians: int) -> "LodTable":
        """The table with another finest generation appended, n_gaussians in total."""
        return LodTable((*self.counts[:-1], n_gaussians), self.gains)

    def bounds(self, generation: int) -> tuple[int, int]:
        """(first, last + 1) index of a generation's Gaussians."""
        return (self.counts[generation - 1] if generation else 0), self.counts[generation]

    def gain_vector(self, lod: int) -> Float64Array:
        """(n,) factors on the inverse scales of the n Gaussians that LOD `lod` shows."""
        step = self.step_of(lod)
        sizes = np.diff((0, *self.counts[: step + 1]))
        return np.repeat(np.asarray(self.gains[step], dtype=np.float64), sizes)

    def select(self, gaussians: GaussianSet, lod: int) -> GaussianSet:
        """The Gaussians that LOD `lod` shows, with inverse scales multiplied by their gains.

        Raises:
            InvalidArgument: there is no such LOD.
        """
        if not 0 <= lod < len(self.counts):
            raise InvalidArgument(f"LOD {lod} does not exist: the file has LODs 0 to {len(self.counts) - 1}")
        shown = gaussians[: self.count(lod)]
        gain = self.gain_vector(lod)
        return GaussianSet(shown.means, shown.inv_scales * gain[:, None], shown.rotations, shown.features)
