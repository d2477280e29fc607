"""A file whose names are chosen by the test."""

from collections.abc import Sequence

import numpy as np

from gscodec.container.contents import Contents
from gscodec.container.writer import pack
from gscodec.format.files import FileEntry
from gscodec.model.channels import ChannelGroup, Role
from gscodec.model.gaussians import GaussianSet, Grid, LodTable


def stack_of(names: Sequence[str], sources: Sequence[str] = (), files: Sequence[str] = ()) -> bytes:
    """A small file of gray maps, 20x12 px, with these names of groups, of their sources, and of a FILE chunk."""
    n = len(names)
    groups = tuple(
        ChannelGroup(name, Role.DATA, 1, source=sources[k] if sources else "") for k, name in enumerate(names)
    )
    gaussians = GaussianSet(
        np.array([[5.0, 6.0], [14.0, 5.0]]), np.full((2, 2), 0.3), np.zeros(2), np.full((2, n), 0.5, np.float32)
    )
    entries = tuple(FileEntry(file, 20, 12, 1, (group.name,)) for file, group in zip(files, groups, strict=False))
    grid = Grid(12, 20, np.full(n, 0.25, np.float32))
    return pack(Contents(grid, groups, LodTable((2,), ((1.0,),)), gaussians, files=entries))
