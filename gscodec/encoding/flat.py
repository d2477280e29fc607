"""Files of one Gaussian that paints one colour: all that a constant picture needs, and the least that any can be."""

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.encoding.job import Job
from gscodec.encoding.packed_file import PackedFile
from gscodec.encoding.packing import Encoded, finished, small_provenance
from gscodec.fit.lattices import plain_lattice
from gscodec.image.stack import ImageStack
from gscodec.model.channels import SampleType
from gscodec.model.constants import EXACT_DB
from gscodec.model.gaussians import GaussianSet, LodTable
from gscodec.profiles.lattice import Lattice, power
from gscodec.profiles.small_codec import lattice_of
from gscodec.profiles.small_steps import FEATURE_UNITS, MAX_SCALE_STEP, MAX_STEP, SmallSteps

FINEST: Final = 24
"""Binary digits of the finest steps that features have: those of binary32."""


def constant_colour(job: Job) -> npt.NDArray[np.float32] | None:
    """(C,) the value of all pixels that count, of a picture in memory that has one; its mean where none counts."""
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
    """The file of one Gaussian of (C,) one colour, as near as the profile holds it."""
    job = job.changed(lods=1)
    grid, lods = job.grid, LodTable.single(1)
    scale = 1.0 / max(grid.height, grid.width)
    gaussian = GaussianSet(
        np.array([[grid.width / 2, grid.height / 2]]), np.full((1, 2), scale), np.zeros(1), colour[None]
    )
    fitted = gaussian if job.scales is None else replace(gaussian, features=gaussian.features * job.scales)
    if job.profile == "packed":
        contents = PackedFile(job).rounded(fitted, lods)
    elif job.profile == "small":
        contents = job.contents(fitted, lods, _small_lattice(job, colour), meta=small_provenance(job, EXACT_DB))
    else:
        contents = job.contents(fitted, lods, _coded_lattice(job, colour) if job.profile == "coded" else None)
    return finished(job, replace(contents, grid=replace(grid, background=colour)), budget, 0)


def _coded_lattice(job: Job, colour: npt.NDArray[np.float32]) -> Lattice:
    """One step of each feature is the colour itself."""
    lattice = plain_lattice(job.grid, len(colour))
    steps = np.where(colour == 0, np.float32(1), np.abs(colour))
    return replace(lattice, feature_steps=steps if job.scales is None else steps * job.scales)


def _small_lattice(job: Job, colour: npt.NDArray[np.float32]) -> Lattice:
    """The coarsest steps at which samples come back as they are, or the finest where none do."""
    steps = []
    at = 0
    for group in job.stack.groups:
        off = 0.25 / ((1 << group.bit_depth) - 1) if group.sample_type is SampleType.UINT else 0.0
        for value in colour[at : at + group.n_channels].astype(np.float64):
            sizes = power(-FEATURE_UNITS * np.arange(MAX_STEP + 1))
            errors = np.abs(np.round(value / sizes) * sizes - value)
            enough = np.flatnonzero(errors <= max(off, 2.0**-FINEST * abs(value)))
            steps.append(int(enough[0]))
        at += group.n_channels
    lattice = lattice_of(SmallSteps(MAX_SCALE_STEP, 0, 0, 0, tuple(steps)), job.grid, 1, job.stack.groups)
    return lattice if job.scales is None else replace(lattice, feature_steps=lattice.feature_steps * job.scales)
