"""Finished Gaussians to bytes: provenance where it fits, and how the file decodes."""

import math
from dataclasses import dataclass, replace

import numpy as np

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.cuda.losses import code_errors
from gscodec.decoding.image import IgsImage
from gscodec.encoding.job import Job
from gscodec.encoding.profiles.encoder import ProfileEncoder
from gscodec.image.alpha import covers
from gscodec.image.levels import has_floats, to_unit
from gscodec.image.regions import Rect
from gscodec.metrics.seen import SquareErrors
from gscodec.model.channels import AlphaMode, SampleType
from gscodec.render.base import DeviceEngine

PSNR_AREA_PX = 1024
"""Side of the parts in which a large picture is decoded to measure it."""


@dataclass(frozen=True)
class Encoded:
    """A file, and what it took."""

    data: bytes
    n_gaussians: int
    lods: int
    psnr: float  # dB, as decoded
    steps: int
    importance_psnr: float | None = None  # dB, by what each pixel counts
    profile: str = ""


def finished(encoder: ProfileEncoder, contents: Contents, steps: int) -> Encoded:
    """The file of contents, with provenance where that fits."""
    job, budget = encoder.job, encoder.budget
    plain = pack(contents)
    psnr, importance_psnr = _decoded_psnrs(job, plain)
    data = plain
    for meta in encoder.metas(psnr):
        data = pack(replace(contents, meta=meta))
        if budget is None or len(data) <= budget:
            break
    else:
        if not job.notes:  # these are kept whatever they take
            data = plain
    return Encoded(data, len(contents.gaussians), len(contents.lods), psnr, steps, importance_psnr, job.profile)


def decoded_psnr(job: Job, data: bytes) -> float:
    """PSNR (dB) of what a finished file decodes to on the same device, against the source, both at its bit depth.

    Of the visible texels, where a mask hides some; errors of straight colour by its alpha.
    """
    return _decoded_psnrs(job, data)[0]


def _decoded_psnrs(job: Job, data: bytes) -> tuple[float, float | None]:
    """`decoded_psnr`, and that by what each pixel counts, if they count differently."""
    groups = job.stack.groups
    with IgsImage(data, device=job.rasterizer) as image:
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
    """Whether a device can tell the PSNR where it decodes: all samples are alike, and codes of the same full depth."""
    depths = {group.bit_depth for group in job.stack.groups if group.sample_type is SampleType.UINT}
    return (
        job.regions is None
        and job.visible is None
        and not has_floats(job.stack.groups)
        and depths in ({8}, {16})
        and all(cover.mode is not AlphaMode.STRAIGHT for cover in covers(job.stack.groups))
    )


def _psnrs_there(job: Job, image: IgsImage, device: DeviceEngine) -> tuple[float, float | None]:
    """`_decoded_psnrs` without a picture that comes to the host."""
    with device.runtime:
        counts = None if job.importance is None else device.pictures.as_it_is(job.importance)
        codes, target = image.render_device(), device.pictures.planes(job.samples)
        plain, weighted = code_errors(device.runtime, codes, target, counts)
    if job.importance is None:
        return _psnr(plain), None
    return _psnr(plain), _psnr(weighted / float(job.importance.mean(dtype=np.float64)))


def _psnr(mse: float) -> float:
    return -10 * math.log10(mse) if mse else math.inf
