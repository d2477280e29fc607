"""The encoders of all profiles, by name."""

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
    """What makes the file of a job, in its profile.

    Args:
        budget: most bytes of the file; None is any number.
    """
    return ENCODERS[job.profile](job, budget)


def suited(job: Job) -> Job:
    """The job with those settings that its profile allows."""
    return ENCODERS[job.profile].suited(job)
