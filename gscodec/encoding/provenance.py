"""Provenance: the encoder, settings and PSNR that a file records in its metadata if they take little space."""

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
"""Maximum fraction of a file's bytes for its provenance, and likewise for the source's name; more is left out."""

META_SLACK: Final = 8
"""Bytes in reserve: provenance is deflated, and its PSNR digits are not known when Gaussians are counted."""

TYPICAL_DB: Final = 29.97
"""A PSNR in dB with a typical number of digits, for sizes that are planned before it is known."""


def provenance(job: Job, psnr: float) -> dict[str, Json]:
    """The provenance entries of a file; META_SLACK covers what the PSNR's digits add to their deflated size."""
    entries = {
        "encoder": f"gscodec {__version__}",
        "preset": job.settings.preset,
        "seed": job.settings.seed,
        "psnr": rounded_psnr(psnr),
    }
    if job.settings.tune is not None:  # a choice; the default follows from the preset and the target
        entries["tune"] = job.settings.tune
    if job.importance is not None:
        entries["importance"] = job.importance_origin
    return entries | dict(job.notes)


def rounded_psnr(psnr: float) -> float:
    """PSNR in dB, rounded as files record it."""
    return round(min(psnr, EXACT_DB), 2)


def provenance_fits(job: Job, budget: int | None) -> bool:
    """Whether a file of at most `budget` bytes has provenance: up to META_SHARE of them, or more if there are notes."""
    if not job.has_provenance:
        return False
    return budget is None or bool(job.notes) or meta_bytes(provenance(job, 0.0)) <= META_SHARE * budget


def recorded_name(stack: ImageStack | RegionSource, budget: int | None) -> str:
    """The bare file name that the file of a single picture records as its source; empty means none.

    Never a folder; empty if the name is not that of a picture file or takes too much of a byte budget.
    """
    if stack.files or len(stack.groups) != 1:
        return ""
    name = stack.groups[0].source or legal_name(PurePath(stack.source_name).name)
    if PurePath(name).suffix.lower() not in known_suffixes():
        return ""
    return name if budget is None or len(name.encode()) <= META_SHARE * budget else ""
