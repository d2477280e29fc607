"""Files of another profile without their source: values are rounded to a lattice that suits the Gaussians themselves.

There is no picture to fine-tune on, so such a file loses a little against one that is encoded in its profile.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.transcode import in_profile
from gscodec.encoding.profiles.coded import CodedEncoder
from gscodec.encoding.profiles.packed import PackedEncoder, typical_record_bytes
from gscodec.encoding.send_order import in_send_order
from gscodec.errors import InvalidArgument
from gscodec.fit.lattices import Steps, choose_transform, make_lattice, plain_lattice
from gscodec.fit.packed import TYPICAL, typical_lattice
from gscodec.format.profile_table import LAYOUTS
from gscodec.profiles.packed import record_bytes_range
from gscodec.profiles.registry import BY_NAME
from gscodec.render.base import Rasterizer

SHARE: Final = 0.004
"""Error that a rounded value of profile `coded` adds, as a share of a picture's own, where that is typical: 0.14 dB in
all. Fine-tuning, which makes up for most of a share six times as large, needs the picture."""


def requantised(
    data: bytes, profile: str, engine: Rasterizer, name: str = "(bytes)", record_bytes: int | None = None
) -> bytes:
    """A file in another profile: `coded`, `packed` or `f16`; one that has the profile already is left alone.

    Coarser sets of profile `small` stay as they are.

    Args:
        engine: renders levels to find the order of pages.
        name: of the file, in messages.
        record_bytes: bytes per record of profile `packed`; None chooses them by the channels.

    Raises:
        InvalidArgument: no such profile, or one that cannot hold the picture or records of that size.
        GsCodecError: the file is damaged.
    """
    with IgsReader(data, name) as reader:
        n_channels, grid, own = len(reader.grid.background), reader.grid, LAYOUTS[reader.header.profile]
    size = record_bytes or typical_record_bytes(n_channels, is_tuned=False)
    rounded: dict[str, Callable[[Contents], Contents]] = {
        "f16": lambda contents: contents,
        "coded": _coded,
        "packed": lambda contents: _packed(contents, size),
    }
    if profile not in rounded:
        raise InvalidArgument(f"profile {profile}: a file can be made {', '.join(rounded)} without its source")
    wanted, (least, most) = BY_NAME[profile], record_bytes_range(n_channels)
    if record_bytes is not None and not (wanted.layout.has_record_bytes and least <= record_bytes <= most):
        which = f"{least}..{most} bytes with {n_channels} channels"
        raise InvalidArgument(f"{name}: records of profile packed have {which}")
    if own is wanted.layout and record_bytes is None:
        return data
    if fault := wanted.size_fault(grid.height, grid.width):
        raise InvalidArgument(f"{name}: {fault}")
    return in_send_order(in_profile(data, rounded[profile], name), engine)


def _coded(contents: Contents) -> Contents:
    """The contents on a lattice of profile `coded`."""
    gaussians, counts = contents.gaussians, contents.lods.counts
    if not len(gaussians):
        lattice = plain_lattice(contents.grid, gaussians.n_channels)
        lattice = replace(lattice, cell_log2=lattice.cell_log2 * len(counts))
    else:
        transform = choose_transform(gaussians.features.astype(np.float64), contents.groups, Steps().feature)
        lattice = make_lattice(TYPICAL(SHARE), transform, contents.grid, counts)
    return replace(contents, lattice=lattice, page_size=CodedEncoder.page_size)


def _packed(contents: Contents, record_bytes: int) -> Contents:
    """The contents, in file order, on a lattice of profile `packed`."""
    grid, groups, size = contents.grid, contents.groups, PackedEncoder.page_size
    gaussians, lattice = typical_lattice(contents.gaussians, contents.lods, grid, groups, size, record_bytes)
    return replace(contents, gaussians=gaussians, lattice=lattice, page_size=size)
