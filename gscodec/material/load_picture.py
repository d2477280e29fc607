"""Loads the source of an encode: small pictures into memory, large ones in parts."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from gscodec.image.load import open_in_parts
from gscodec.image.regions import Rect, RegionSource
from gscodec.image.stack import ImageStack, is_cmyk
from gscodec.io.streams import is_stream
from gscodec.material.described import MapFile, meaning_of_file
from gscodec.material.maps import Overrides, load_source, one_picture
from gscodec.material.tile_folder import TileFolder, common_name, find_tiles
from gscodec.model.channels import COLOURS, AlphaMode, Transfer
from gscodec.model.constants import LARGE_PIXELS
from gscodec.model.limits import DEFAULT_LIMITS, Limits

_LOOKED_AT: Final = 64
"""Side, px, of each of 16 areas that say whether a picture in parts is what its name says."""


def load_picture(
    paths: Sequence[str | os.PathLike[str]],
    *,
    part: str | None = None,
    nan: str = "error",
    limits: Limits = DEFAULT_LIMITS,
    overrides: Overrides | None = None,
) -> ImageStack | RegionSource:
    """The source of an encode, as `load_source`; a picture of more than LARGE_PIXELS is read in parts if possible.

    Read in parts are folders of tiles (`tile_folder`) and what its file type gives in parts
    (`PictureType.open_in_parts`). The rest is taken into memory whole. Of a picture in parts all
    channels are stored, whatever its role.

    Raises:
        GsCodecError: as `load_source`, `open_in_parts` and `TileFolder`.
    """
    overrides = overrides or Overrides()
    large = _large(Path(paths[0]), limits, overrides) if len(paths) == 1 and os.fspath(paths[0]) != "-" else None
    if large is None:
        return load_source(paths, part=part, nan=nan, limits=limits, overrides=overrides)
    if isinstance(large, RegionSource) and not Path(paths[0]).is_dir():
        large.source_name = os.fspath(paths[0])
    return large


def _large(path: Path, limits: Limits, overrides: Overrides) -> ImageStack | RegionSource | None:
    if is_stream(path):
        return None
    if path.is_dir():
        places = None if overrides.stack else find_tiles(path)
        if places is None:
            return None
        file = overrides.file(path / (common_name(places) + places[0, 0].suffix))
        return _small_whole(TileFolder(places, os.fspath(path)), os.fspath(path), file)
    source = open_in_parts(path, LARGE_PIXELS, limits)
    return None if source is None else _with_role(source, overrides.file(path))


def _small_whole(source: RegionSource, name: str, file: MapFile) -> ImageStack | RegionSource:
    height, width, _ = source.shape
    if height * width > LARGE_PIXELS:
        return _with_role(source, file)
    with source:
        whole = ImageStack(source.read(Rect(0, 0, width, height)), source.groups, source.icc, name)
    return one_picture(whole, file)


def _with_role(source: RegionSource, file: MapFile) -> RegionSource:
    """The picture with the role that its name and some of its pixels give it."""
    group = source.groups[0]
    if is_cmyk(source.groups):
        return source

    def look() -> npt.NDArray[np.float32]:
        height, width, _ = source.shape
        side = min(_LOOKED_AT, height, width)
        places = [
            Rect(x, y, x + side, y + side)
            for y in np.linspace(0, height - side, 4).astype(int).tolist()
            for x in np.linspace(0, width - side, 4).astype(int).tolist()
        ]
        return np.concatenate([source.read(place) for place in places])

    try:
        meant = meaning_of_file(file, look, source.shape[2], int(group.alpha is not AlphaMode.NONE))
    except BaseException:
        source.close()
        raise
    is_colour = meant.role in COLOURS
    source.groups = (
        replace(
            group,
            name=meant.kind or group.name,
            role=meant.role,
            transfer=group.transfer if is_colour else Transfer.LINEAR,
            alpha=group.alpha if is_colour else AlphaMode.NONE,
            normal=meant.normal,
        ),
    )
    source.icc = source.icc if is_colour else None
    return source
