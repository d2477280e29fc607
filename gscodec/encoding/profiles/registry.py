"""Encoders of all profiles, by name."""

from collections.abc import Mapping
from typing import Final

from gscodec.encoding.job import Job
from gscodec.encoding.profiles.coded import CodedEncoder
from gscodec.encoding.profiles.encoder import ProfileEncoder
from gscodec.encoding.profiles.f16 import F16Encoder
from gscodec.encoding.profiles.packed import PackedEncoder
from gscodec.encoding.profiles.small import SmallEncoder

ENCODERS: Final[Mapping[str, type[ProfileEncoder]]] = {
    encoder.profile.layout.name: encoder for encoder in (CodedEncoder, PackedEncoder, F16Encoder, SmallEncoder)
}


def encoder_for(job: Job, budget: int | None = None) -> ProfileEncoder:
    """The encoder for the file of a job in its profile.

    Args:
        budget: maximum bytes of the file; None means no limit.
    """
    return ENCODERS[job.profile](job, budget)


def suited(job: Job) -> Job:
    """The job with its settings restricted to what its profile supports."""
    return ENCODERS[job.profile].suited(job)
