"""Files of a single Gaussian of constant colour: sufficient for a constant picture, and the smallest possible file."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gscodec.encoding.job import Job
from gscodec.encoding.packing import Encoded, finished
from gscodec.encoding.profiles.registry import encoder_for
from gscodec.image.stack import ImageStack
from gscodec.model.gaussians import GaussianSet, LodTable


def constant_colour(job: Job) -> npt.NDArray[np.float32] | None:
    """(C,) colour of a picture in memory whose visible pixels are all equal, else None; the mean if none is visible."""
    if not isinstance(job.stack, ImageStack):
        return None
    shown = job.samples.reshape(-1, job.samples.shape[2])
    if job.visible is not None:
        shown = shown[job.visible.ravel()]
    if not len(shown):
        return job.grid.background
    first: npt.NDArray[np.float32] = shown[0]
    return first if (shown == first).all() else None


def flat_file(job: Job, colour: npt.NDArray[np.float32], budget: int | None) -> Encoded:
    """The file of one Gaussian of colour (C,), rounded to the profile's precision."""
    job = job.changed(lods=1)
    grid, lods = job.grid, LodTable.single(1)
    scale = 1.0 / max(grid.height, grid.width)
    gaussian = GaussianSet(
        np.array([[grid.width / 2, grid.height / 2]]), np.full((1, 2), scale), np.zeros(1), colour[None]
    )
    fitted = gaussian if job.scales is None else replace(gaussian, features=gaussian.features * job.scales)
    encoder = encoder_for(job, budget)
    contents = encoder.flat(fitted, lods, colour)
    return finished(encoder, replace(contents, grid=replace(grid, background=colour)), 0)
