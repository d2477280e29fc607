"""`gscodec.export_gaussians` and `gscodec.import_gaussians`: Gaussians of `.igs` files as other files, and back."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.transcode import transcoded
from gscodec.container.writer import pack
from gscodec.encoding.requantise import requantised
from gscodec.encoding.send_order import in_send_order
from gscodec.errors import BadImage, InvalidArgument
from gscodec.format.files import FileEntry
from gscodec.format.groups import check_groups
from gscodec.format.layout import HEADER
from gscodec.format.opening import open_source
from gscodec.interchange import ply
from gscodec.interchange.checkpoint import is_checkpoint, unpack_checkpoint
from gscodec.interchange.npz import pack_npz, unpack_npz
from gscodec.interchange.picture import Picture
from gscodec.interchange.svg import pack_svg
from gscodec.io.atomic import write_atomic
from gscodec.io.source import SourceLike, source_name
from gscodec.material.outputs import is_url, refuse_inputs
from gscodec.material.roles import map_name
from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, NormalConvention, Role, Transfer
from gscodec.model.gaussians import Grid, LodTable
from gscodec.model.limits import DEFAULT_LIMITS, Limits
from gscodec.render.engines import cpu_backend

WRITERS: Final = {"npz": pack_npz, "ply": ply.pack_ply, "svg": pack_svg}
"""What Gaussians are written as, by name."""

_COPIES: Final = 4
"""Copies of a file that are held at a time."""


@dataclass(frozen=True)
class Imported:
    """An `.igs` file made of Gaussians."""

    data: bytes = field(repr=False)
    path: Path | None
    n_gaussians: int
    height: int  # px
    width: int
    n_channels: int


def export_gaussians(source: SourceLike, to: str, *, lod: int = 0, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Gaussians of one level of detail as a NumPy archive, a PLY file or an SVG picture of ellipses.

    A level that is a coarser set shows the picture at the size that the set was made of. The ICC profile goes into
    `.npz`; other levels, metadata and film grain are left out.

    Args:
        source: path or URL of an `.igs` file, its contents, or an open binary file.
        to: `npz`, `ply` or `svg`.
        lod: level of detail, 0 the finest.

    Raises:
        InvalidArgument: another type, or no such level.
        GsCodecError: the file cannot be read, or is damaged.
    """
    if to not in WRITERS:
        raise InvalidArgument(f"Gaussians are not written as {to!r}; use {', '.join(WRITERS)}")
    name = source_name(source)
    data = _bytes_of(source, name, limits)
    with IgsReader(transcoded(data, name, finest=lod, coarsest=lod), name, limits) as reader:
        contents = Contents(
            reader.grid,
            reader.groups,
            LodTable.single(reader.count(0)),
            reader.read(0),
            icc=reader.icc,
            files=reader.files if lod == 0 else (),
        )
    return WRITERS[to](contents)


def import_gaussians(
    source: SourceLike,
    output: str | os.PathLike[str] | None = None,
    *,
    size: tuple[int, int] | None = None,
    channels: Mapping[str, int] | None = None,
    profile: str = "f16",
    overwrite: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Imported:
    """The `.igs` file of Gaussians that another program made; nothing is fitted.

    Args:
        source: path or contents of a NumPy archive, a PLY file (docs/interchange.md has both), or a checkpoint of
            Image-GS.
        size: height and width of the picture in px; needed where the file does not have them.
        channels: number of channels of each map, by its name, which also says its role; None means those of the file,
            else a colour picture of one, three, or with an alpha two or four channels.
        profile: `f16`, which keeps 16 bits of each value, or `coded` or `packed`, which round more.
        overwrite: replace `output` if it exists.

    Raises:
        BadImage: the file is none of these, or damaged. InvalidArgument: the size is missing, the channels do not
            fit, or the output is the source. LimitExceeded: it takes more memory than allowed. OutputExists: the output
            exists.

    Warns:
        SourceWarning: Gaussians are outside what files hold, and are moved.
    """
    name = source_name(source)
    if output is not None and isinstance(source, str | os.PathLike) and not is_url(os.fspath(source)):
        refuse_inputs([output], [source])
    data = _bytes_of(source, name, limits)
    contents = _contents(data, name, size, channels, limits)
    engine = cpu_backend(None)
    packed = requantised(in_send_order(pack(contents), engine), profile, engine, name)
    path = None
    if output is not None:
        path = Path(output)
        write_atomic(path, packed, overwrite)
    grid = contents.grid
    return Imported(packed, path, len(contents.gaussians), grid.height, grid.width, len(grid.background))


def _bytes_of(source: SourceLike, name: str, limits: Limits) -> bytes:
    opened = open_source(source, name, limits)
    try:
        limits.check_memory(_COPIES * opened.size, f"{name}: {opened.size} bytes, which are held in memory,")
        return bytes(opened.read_at(0, opened.size))
    finally:
        opened.close()


def _contents(
    data: bytes, name: str, size: tuple[int, int] | None, channels: Mapping[str, int] | None, limits: Limits
) -> Contents:
    if size is None and channels is not None:
        raise InvalidArgument(f"{name}: channels describe another picture than the file: give its size as well")
    describe = None if size is None else partial(plain_picture, name, size, channels)
    if is_checkpoint(data):
        if describe is None:
            raise InvalidArgument(f"{name}: a checkpoint has no size of its picture: give it as WxH with --size")
        return unpack_checkpoint(data, describe, name, limits)
    if data.startswith(b"PK"):
        return unpack_npz(data, describe, name, limits)
    if data.startswith(ply.MAGIC):
        return ply.unpack_ply(data, describe, name, limits)
    raise BadImage(f"{name}: is not a NumPy archive (.npz), a PLY file or a checkpoint of PyTorch 1.6 or later")


def plain_picture(name: str, size: tuple[int, int], channels: Mapping[str, int] | None, n_channels: int) -> Picture:
    """The picture of Gaussians in a file that does not describe it.

    Args:
        name: of the file, in messages. size: height and width in px.
        channels: number of channels of each map; None for one colour picture.
        n_channels: of the Gaussians.

    Raises:
        InvalidArgument: the size is not one of a picture, or the channels are not, or are others than the Gaussians'.
    """
    height, width = size
    HEADER.check({"width": width, "height": height}, name, InvalidArgument)
    if channels is None:
        if n_channels > 4:
            raise InvalidArgument(
                f"{name}: has {n_channels} channels: give those of each map with --channels albedo=3,normal=3,..."
            )
        alpha = AlphaMode.NONE if n_channels % 2 else AlphaMode.STRAIGHT
        groups = [ChannelGroup("color", n_channels=n_channels, alpha=alpha)]
    else:
        groups = [_map(key, count) for key, count in channels.items()]
    check_groups(groups, n_channels, name, InvalidArgument)
    files = [FileEntry(f"{one.name}.png", width, height, one.n_channels, (one.name,)) for one in groups]
    grid = Grid(height, width, np.zeros(n_channels, np.float32))
    return Picture(grid, tuple(groups), tuple(files) if len(files) > 1 else ())


def _map(name: str, n_channels: int) -> ChannelGroup:
    known = map_name(name)
    role = Role.DATA if known is None else known.role
    transfer = Transfer.SRGB if role in COLOURS else Transfer.LINEAR
    convention = NormalConvention.NONE if known is None else known.normal
    return ChannelGroup(name, role, n_channels, transfer=transfer, normal=convention)
