"""Finished Gaussians to bytes: provenance where it fits, and how the file decodes."""

import math
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.cuda.losses import code_errors
from gscodec.decoding.image import IgsImage
from gscodec.encoding.job import CODED_OVERHEAD, Job
from gscodec.image.alpha import covers
from gscodec.image.levels import has_floats, to_unit
from gscodec.image.regions import Rect, RegionSource
from gscodec.image.save import PICTURE_FILES
from gscodec.image.stack import ImageStack
from gscodec.metrics.seen import SquareErrors
from gscodec.model.channels import AlphaMode, SampleType
from gscodec.model.constants import EXACT_DB
from gscodec.model.file_names import legal_name
from gscodec.render.gpu import CudaRasterizer, on_device
from gscodec.version import __version__

META_SHARE = 0.01
"""Share of a file's bytes above which its provenance is left out, and likewise the source's name."""

META_SLACK = 8
"""Bytes left free because provenance is deflated, and its digits are not known when Gaussians are counted."""

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


def provenance(job: Job, psnr: float) -> dict[str, Any]:
    """What a file says of its making; META_SLACK covers what the PSNR's digits add to its size."""
    said = {
        "encoder": f"gscodec {__version__}",
        "preset": job.settings.preset,
        "seed": job.settings.seed,
        "psnr": round(min(psnr, EXACT_DB), 2),
    }
    if job.settings.tune != "psnr":
        said["tune"] = job.settings.tune
    if job.importance is not None:
        said["importance"] = job.importance_origin
    return said | dict(job.notes)


def small_provenance(job: Job, psnr: float) -> dict[str, Any] | None:
    """What a file of profile `small` says of its making: nothing, where it has nothing to note."""
    return {"psnr": round(min(psnr, EXACT_DB), 2)} | dict(job.notes) if job.notes else None


def recorded_name(stack: ImageStack | RegionSource, budget: int | None) -> str:
    """The bare file name that the file of a single picture records, so that no decode goes there unasked.

    Never a folder, and nothing of what is no picture's file or takes too much of a budget in bytes.
    """
    if stack.files or len(stack.groups) != 1:
        return ""
    name = stack.groups[0].source or legal_name(PurePath(stack.source_name).name)
    if PurePath(name).suffix.lower() not in PICTURE_FILES:
        return ""
    return name if budget is None or len(name.encode()) <= META_SHARE * budget else ""


def planned_provenance(job: Job, budget: int | None) -> dict[str, Any] | None:
    """Provenance as long as it will be, for sizes that are told ahead; None where it does not fit a budget."""
    return provenance(job, 29.97) if _provenance_fits(job, budget) else None


def count_for(job: Job, budget: int, most: int) -> int:
    """The most Gaussians whose file, provenance included where it fits, has at most `budget` bytes; at least one.

    In profile `coded`, as many as are likely to fit at the steps that suit them.
    """
    if job.profile == "small":
        return min(most, max(1, int(8 * (budget - job.small_overhead) / job.coded_bits)))
    meta = planned_provenance(job, budget)
    spare = (META_SLACK if meta else 0) + job.page_slack
    if job.profile == "coded":
        overhead = job.size_of(1, meta) + spare + CODED_OVERHEAD
        return min(most, max(1, int(8 * (budget - overhead) / job.coded_bits)))
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        if job.size_of(middle, meta) + spare <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def finished(job: Job, contents: Contents, budget: int | None, steps: int) -> Encoded:
    """The file of contents, with provenance where that fits."""
    plain = pack(contents)
    psnr, importance_psnr = _decoded_psnrs(job, plain)
    data = b""
    if job.profile == "small":
        if job.notes:
            data = pack(replace(contents, meta=small_provenance(job, psnr)))
            if budget is not None and len(data) > budget:
                data = pack(replace(contents, meta=dict(job.notes)))
    elif _provenance_fits(job, budget):
        data = pack(replace(contents, meta=provenance(job, psnr)))
    if not data or (budget is not None and len(data) > budget and not job.notes):
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
        device = on_device(job.rasterizer)
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


def _psnrs_there(job: Job, image: IgsImage, device: CudaRasterizer) -> tuple[float, float | None]:
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


def _provenance_fits(job: Job, budget: int | None) -> bool:
    return (
        budget is None
        or bool(job.notes)
        or job.size_of(1, provenance(job, 0.0)) - job.size_of(1, None) <= META_SHARE * budget
    )
