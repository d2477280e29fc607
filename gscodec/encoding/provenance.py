"""What a file says of its making, where that takes little of it."""

from pathlib import PurePath
from typing import Final

from gscodec.container.writer import meta_bytes
from gscodec.encoding.job import Job
from gscodec.image.file_types.registry import known_suffixes
from gscodec.image.regions import RegionSource
from gscodec.image.stack import ImageStack
from gscodec.model.constants import EXACT_DB
from gscodec.model.file_names import legal_name
from gscodec.model.json_value import Json
from gscodec.version import __version__

META_SHARE: Final = 0.01
"""Share of a file's bytes above which its provenance is left out, and likewise the source's name."""

META_SLACK: Final = 8
"""Bytes left free because provenance is deflated, and its digits are not known when Gaussians are counted."""

TYPICAL_DB: Final = 29.97
"""PSNR with as many digits as most, for sizes that are planned before it is known."""


def provenance(job: Job, psnr: float) -> dict[str, Json]:
    """What a file says of its making; META_SLACK covers what the PSNR's digits add to its size."""
    said = {
        "encoder": f"gscodec {__version__}",
        "preset": job.settings.preset,
        "seed": job.settings.seed,
        "psnr": rounded_psnr(psnr),
    }
    if job.settings.tune != "psnr":
        said["tune"] = job.settings.tune
    if job.importance is not None:
        said["importance"] = job.importance_origin
    return said | dict(job.notes)


def rounded_psnr(psnr: float) -> float:
    """PSNR in dB as a file states it."""
    return round(min(psnr, EXACT_DB), 2)


def provenance_fits(job: Job, budget: int | None) -> bool:
    """Whether a file of at most `budget` bytes has provenance: it may take META_SHARE of them, and more with notes."""
    return budget is None or bool(job.notes) or meta_bytes(provenance(job, 0.0)) <= META_SHARE * budget


def recorded_name(stack: ImageStack | RegionSource, budget: int | None) -> str:
    """The bare file name that the file of a single picture records, so that no decode goes there unasked.

    Never a folder, and nothing of what is no picture's file or takes too much of a budget in bytes.
    """
    if stack.files or len(stack.groups) != 1:
        return ""
    name = stack.groups[0].source or legal_name(PurePath(stack.source_name).name)
    if PurePath(name).suffix.lower() not in known_suffixes():
        return ""
    return name if budget is None or len(name.encode()) <= META_SHARE * budget else ""
