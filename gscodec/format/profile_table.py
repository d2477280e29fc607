"""Properties of the files of each profile: one row per profile, used by readers and writers.

A profile is a way to store Gaussians (spec/igs.md, section 4.2). How each turns Gaussians into bytes and back is a
class of `gscodec.profiles`, and how a picture is encoded for it one of `gscodec.encoding.profiles`.
"""

from dataclasses import dataclass
from typing import Final

from gscodec.model.constants import MAX_LODS

MAX_SMALL_BYTES: Final = 4096
"""Maximum size of a file of profile `small`, which is decoded as a whole, bit by bit."""


@dataclass(frozen=True)
class ProfileLayout:
    """The bytes of files of one profile."""

    name: str  # as users choose it
    code: int  # in the header
    has_quantiser: bool = True  # chunk QUAN
    has_page_lengths: bool = False  # in the page index: pages with as many Gaussians differ in bytes
    has_plain_records: bool = False  # GAUS is an array of records of `record_size` bytes, which can be mapped
    has_record_bytes: bool = False  # the encoder's user may choose how many bytes a record has
    max_lods: int = MAX_LODS
    max_file_bytes: int | None = None  # of a file in one piece: its own short header, no table of contents, no pages

    @property
    def is_one_piece(self) -> bool:
        """Whether files have a short header of their own in place of header, table of contents and pages."""
        return self.max_file_bytes is not None


CODED: Final = ProfileLayout("coded", 2, has_page_lengths=True)
PACKED: Final = ProfileLayout("packed", 1, has_record_bytes=True)
F16: Final = ProfileLayout("f16", 0, has_quantiser=False, has_plain_records=True)
SMALL: Final = ProfileLayout("small", 3, has_quantiser=False, max_lods=1, max_file_bytes=MAX_SMALL_BYTES)

_ROWS: Final = (CODED, PACKED, F16, SMALL)

LAYOUTS: Final = {layout.code: layout for layout in _ROWS}
"""By code."""

PROFILE_NAMES: Final = tuple(layout.name for layout in _ROWS)
"""Names that users choose from."""

PAGED_CODES: Final = tuple(sorted(layout.code for layout in _ROWS if not layout.is_one_piece))
"""Codes that the common header may have."""


def layout_named(name: str) -> ProfileLayout:
    """The layout of files of a profile.

    Raises:
        KeyError: there is no such profile.
    """
    return {layout.name: layout for layout in _ROWS}[name]
