"""Chooses the profile of a file if the settings name none; no other module does."""

from typing import TYPE_CHECKING, Final

from gscodec.errors import InvalidArgument
from gscodec.format.profile_table import CODED, F16, SMALL
from gscodec.profiles.registry import BY_NAME

if TYPE_CHECKING:
    from gscodec.encoding.settings import EncodeSettings

TINY_BYTES: Final = 2048
"""Size in bytes up to which a file gets the tiny profile: tables and levels of detail of `coded` take 350 to 500."""


def default_profile(preset: str) -> str:
    """The default profile of a preset: 16 bits per value for `paper`, as published; otherwise the smallest files."""
    return F16.name if preset == "paper" else CODED.name


def profile_for_size(settings: "EncodeSettings", height: int, width: int) -> str:
    """The profile of the settings, or else one that can store a picture of height x width px.

    Raises:
        InvalidArgument: the profile of the settings cannot store this size.
    """
    fault = BY_NAME[settings.chosen_profile].size_fault(height, width)
    if not fault:
        return settings.chosen_profile
    if settings.profile is not None:
        raise InvalidArgument(fault)
    return F16.name


def tiny_profile(settings: "EncodeSettings", height: int, width: int) -> str | None:
    """The profile for files of up to TINY_BYTES; None if the settings name another or it cannot store the size."""
    is_free = settings.profile is None and settings.lods in {None, 1} and not settings.halves
    is_free = is_free and settings.preset != "paper"
    return SMALL.name if is_free and not BY_NAME[SMALL.name].size_fault(height, width) else None
