"""Contents of a file without chunks, which is read as a whole when it is opened."""

from dataclasses import dataclass

from gscodec.format.chunks import Preamble
from gscodec.format.pages import PageIndex
from gscodec.model.channels import ChannelGroup
from gscodec.model.gaussians import Float32Array, Grid, LodTable
from gscodec.profiles.base import PageDecoder


@dataclass(frozen=True)
class Shared:
    """What all sets of a file share."""

    groups: tuple[ChannelGroup, ...]
    background: Float32Array  # (C,)


@dataclass(frozen=True)
class OnePiecePreamble(Preamble):
    """The preamble of a file without tables: what others say in them is decoded. `chunks` are its extras and GAUS."""

    groups: tuple[ChannelGroup, ...]
    grid: Grid
    lods: LodTable
    pages: PageIndex
    decoder: PageDecoder
