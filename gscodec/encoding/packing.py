"""Packs finished Gaussians into a file, with provenance if it fits, and measures how the file decodes."""

import math
from dataclasses import dataclass, replace

import numpy as np

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.cuda.losses import code_errors
from gscodec.decoding.image import IgsImage
from gscodec.encoding.grain import lacking_grain
from gscodec.encoding.job import Job
from gscodec.encoding.profiles.encoder import ProfileEncoder
from gscodec.image.alpha import covers
from gscodec.image.levels import has_floats, to_unit
from gscodec.image.regions import Rect
from gscodec.metrics.seen import SquareErrors
from gscodec.model.channels import AlphaMode, SampleType
from gscodec.render.base import DeviceEngine

PSNR_AREA_PX = 1024
"""Side, in px, of the parts in which a large picture is decoded for measurement."""


@dataclass(frozen=True)
class Encoded:
    """A file and its measurements."""

    data: bytes
    n_gaussians: int
    lods: int
    psnr: float  # dB, of the decoded file
    steps: int
    importance_psnr: float | None = None  # dB, weighted by importance
    profile: str = ""


def finished(encoder: ProfileEncoder, contents: Contents, steps: int) -> Encoded:
    """The file of contents, with provenance if it fits into the budget."""
    job, budget = encoder.job, encoder.budget
    plain = pack(contents)
    psnr, importance_psnr = _decoded_psnrs(job, plain)
    if contents.grain:
        contents = replace(contents, grain=lacking_grain(job, plain))
        plain = pack(contents)
    data = plain
    for meta in encoder.metas(psnr):
        data = pack(replace(contents, meta=meta))
        if budget is None or len(data) <= budget:
            break
    else:
        if not job.notes:  # notes are always kept
            data = plain
    return Encoded(data, len(contents.gaussians), len(contents.lods), psnr, steps, importance_psnr, job.profile)


def decoded_psnr(job: Job, data: bytes) -> float:
    """PSNR (dB) of a finished file decoded on the same device, against the source, both at its bit depth.

    Pixels hidden by a mask are left out; errors of straight colour are weighted by its alpha.
    """
    return _decoded_psnrs(job, data)[0]


def _decoded_psnrs(job: Job, data: bytes) -> tuple[float, float | None]:
    """`decoded_psnr`, and the same weighted by importance if pixels have different weights."""
    groups = job.stack.groups
    with IgsImage(data, device=job.rasterizer, grain=False) as image:
        device = job.rasterizer.on_device
        if device is not None and _is_measured_there(job):
            return _psnrs_there(job, image, device)
        if job.regions is None:
            decoded = to_unit(image.render(), groups)
            plain = SquareErrors(groups)
            plain.add(decoded, job.samples, job.visible)
            if job.importance is None:
                return plain.psnr, None
            weighted = SquareErrors(groups)
            weighted.add(decoded, job.samples, job.importance if job.visible is None else job.importance * job.visible)
            return plain.psnr, weighted.psnr
        errors = SquareErrors(groups)
        height, width, _ = image.shape
        for y in range(0, height, PSNR_AREA_PX):
            for x in range(0, width, PSNR_AREA_PX):
                area = Rect(x, y, min(width, x + PSNR_AREA_PX), min(height, y + PSNR_AREA_PX))
                decoded = to_unit(image.render(region=(x, y, area.width, area.height)), groups)
                shown = None if job.visible is None else job.visible[area.slices()]
                errors.add(decoded, job.regions.read(area), shown)
    return errors.psnr, None


def _is_measured_there(job: Job) -> bool:
    """Whether the decoding device can measure the PSNR: all channels share a group of codes at full depth."""
    depths = {group.bit_depth for group in job.stack.groups if group.sample_type is SampleType.UINT}
    return (
        job.regions is None
        and job.visible is None
        and not has_floats(job.stack.groups)
        and depths in ({8}, {16})
        and all(cover.mode is not AlphaMode.STRAIGHT for cover in covers(job.stack.groups))
    )


def _psnrs_there(job: Job, image: IgsImage, device: DeviceEngine) -> tuple[float, float | None]:
    """`_decoded_psnrs` measured in device memory, without copying the picture to the host."""
    with device.runtime:
        counts = None if job.importance is None else device.pictures.as_it_is(job.importance)
        codes, target = image.render_device(), device.pictures.planes(job.samples)
        plain, weighted = code_errors(device.runtime, codes, target, counts)
    if job.importance is None:
        return _psnr(plain), None
    return _psnr(plain), _psnr(weighted / float(job.importance.mean(dtype=np.float64)))


def _psnr(mse: float) -> float:
    return -10 * math.log10(mse) if mse else math.inf
