"""All profiles, by their codes in files and by their names."""

from typing import Final

from gscodec.profiles.base import Profile
from gscodec.profiles.coded import CodedProfile
from gscodec.profiles.f16 import F16Profile
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.packed import PackedProfile
from gscodec.profiles.small_codec import SmallProfile

CODED: Final = CodedProfile()
PACKED: Final = PackedProfile()
F16: Final = F16Profile()
SMALL: Final = SmallProfile()

_PROFILES: Final[tuple[Profile, ...]] = (CODED, PACKED, F16, SMALL)

BY_CODE: Final = {profile.layout.code: profile for profile in _PROFILES}
BY_NAME: Final = {profile.layout.name: profile for profile in _PROFILES}


def profile_of(lattice: Lattice | None) -> Profile:
    """The profile that stores Gaussians on such a lattice, or on none."""
    (profile,) = (profile for profile in _PROFILES if profile.stores(lattice))
    return profile
