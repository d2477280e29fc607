"""Everything one `.igs` file holds, before or after it is bytes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gscodec.model.channels import ChannelGroup
from gscodec.model.constants import DEFAULT_PAGE_SIZE
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.json_value import Json
from gscodec.profiles.lattice import Lattice

if TYPE_CHECKING:
    from gscodec.format.files import FileEntry
    from gscodec.format.metadata import Metadata


@dataclass(frozen=True)
class Contents:
    """What `pack` turns into a file. Gaussians are ordered by generation; pack sorts inside each."""

    grid: Grid
    groups: tuple[ChannelGroup, ...]
    lods: LodTable
    gaussians: GaussianSet
    icc: bytes | None = None  # ICC profile, as found in the source
    meta: dict[str, Json] | None = None  # provenance; never changes pixels
    page_size: int = DEFAULT_PAGE_SIZE  # records per page
    lattice: Lattice | None = None  # steps of the quantised profiles; None is profile `f16`
    files: "tuple[FileEntry, ...]" = ()  # what the source files were, where that is more than one picture
    metadata: "Metadata | None" = None  # of the source; None is none
