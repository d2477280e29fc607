"""Contents of one `.igs` file, before packing or after reading."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gscodec.model.channels import ChannelGroup
from gscodec.model.constants import DEFAULT_PAGE_SIZE
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.grain import Grain
from gscodec.model.json_value import Json
from gscodec.profiles.lattice import Lattice

if TYPE_CHECKING:
    from gscodec.format.files import FileEntry
    from gscodec.format.metadata import Metadata


@dataclass(frozen=True)
class Contents:
    """Input of `pack`. Gaussians are ordered by generation; pack sorts them within each generation."""

    grid: Grid
    groups: tuple[ChannelGroup, ...]
    lods: LodTable
    gaussians: GaussianSet
    icc: bytes | None = None  # ICC profile, copied from the source
    meta: dict[str, Json] | None = None  # provenance; never changes pixels
    page_size: int = DEFAULT_PAGE_SIZE  # records per page
    lattice: Lattice | None = None  # quantiser steps of the quantised profiles; None is profile `f16`
    files: "tuple[FileEntry, ...]" = ()  # source files; empty for a single plain picture
    metadata: "Metadata | None" = None  # metadata of the source
    grain: tuple[Grain, ...] = ()  # film grain to add when decoding; not stored in profile `small`
