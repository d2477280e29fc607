"""The tiles in which a set of Gaussians is shown: those of the file, of which a coarser set's pixels are several wide.

A tile lists the Gaussians that reach it. So a coarser set shows a hole, or a wrong colour, in small squares that its
own grid of tiles does not have.
"""

from dataclasses import replace

from gscodec.model.gaussians import GaussianSet, Grid


def on_shown_tiles(gaussians: GaussianSet, grid: Grid, most_log2: int) -> tuple[GaussianSet, Grid]:
    """Gaussians and grid in px of the file, or at 2^most_log2 px per pixel of the set if these are fewer."""
    scale_log2 = min(grid.scale_log2, most_log2)
    if not scale_log2:
        return gaussians, grid
    scale = 1 << scale_log2
    shown = replace(gaussians, means=gaussians.means * scale, inv_scales=gaussians.inv_scales / scale)
    return shown, replace(grid, height=grid.height * scale, width=grid.width * scale, scale_log2=0)
