"""Mips that come with a picture, from which its coarser sets are made in place of averages of the picture itself."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gscodec.encoding.opacity import without_hidden
from gscodec.errors import InvalidArgument
from gscodec.image.arrays import ArrayLike, from_array
from gscodec.image.averages import SampleAverage
from gscodec.image.levels import has_floats, to_values
from gscodec.image.load import load_image
from gscodec.image.normals import unit_normals
from gscodec.image.reduced import reduced_size
from gscodec.image.regions import RegionSource
from gscodec.image.stack import ImageStack
from gscodec.image.transfer import to_model
from gscodec.model.channels import AlphaMode, ChannelGroup, SampleType
from gscodec.model.gaussians import Float32Array, Float64Array
from gscodec.model.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import PIL.Image

    Mip = str | os.PathLike[str] | ArrayLike | PIL.Image.Image | ImageStack


def load_mips(
    mips: "Sequence[Mip]", stack: ImageStack | RegionSource, nan: str = "error", limits: Limits = DEFAULT_LIMITS
) -> tuple[Float32Array, ...]:
    """float32 (h, w, C) samples of mips as the picture stores its own, the largest first.

    Args:
        mips: paths, arrays, PIL images or stacks, in any order: level k has 2^-k of the picture's sides, rounded down
            or up. Levels may be missing.
        stack: the picture, ready to be fitted.
        nan, limits: as in `load_image`.

    Raises:
        InvalidArgument: the picture is read in parts or has several channel groups; a mip has no size of a level or
            other channels; or two have one size.
        GsCodecError: as `load_image`.
    """
    if not isinstance(stack, ImageStack):
        raise InvalidArgument(f"{stack.source_name or 'picture'}: is read in parts and cannot have mips of its own")
    if len(stack.groups) != 1 or len(stack.files) > 1:
        fact = "has several maps or layers: mips are for a picture or map with one channel group"
        raise InvalidArgument(f"{stack.source_name or 'picture'}: {fact}")
    loaded: list[Float32Array] = []
    for number, mip in enumerate(mips):
        name = os.fspath(mip) if isinstance(mip, str | os.PathLike) else f"mips[{number}]"
        mip_stack = _loaded(mip, stack, name, nan, limits)
        size = mip_stack.samples.shape[:2]
        _check_size(size, stack.samples.shape[:2], name)
        if any(other.shape[:2] == size for other in loaded):
            raise InvalidArgument(f"{name}: another mip has its size, {size[1]}x{size[0]}: leave one out")
        loaded.append(_as_stored(mip_stack, stack, name))
    return tuple(sorted(loaded, key=lambda samples: samples.shape[:2], reverse=True))


def mip_samples(
    mips: Sequence[Float32Array], groups: Sequence[ChannelGroup], size: tuple[int, int], side: int
) -> Float32Array | None:
    """float32 (h, w, C) samples of the picture over squares of side x side px, taken from its mips.

    The mip of that size, else means of the smallest of the larger mips over the same areas; None if all are smaller.

    Args:
        mips: as from `load_mips`.
        groups: of the C channels.
        size: (height, width) of the picture.
    """
    wanted = reduced_size(*size, side)
    larger = [mip for mip in mips if mip.shape[0] >= wanted[0] and mip.shape[1] >= wanted[1]]
    if not larger:
        return None
    nearest = larger[-1]
    if nearest.shape[:2] == wanted:
        return nearest
    average = SampleAverage(groups)
    means = average.forward(to_values(nearest, groups)).astype(np.float64)
    for axis in (0, 1):
        edges = np.minimum(np.arange(wanted[axis] + 1) * side, size[axis]) * (nearest.shape[axis] / size[axis])
        means = np.moveaxis(_interval_means(np.moveaxis(means, axis, 0), edges), 0, axis)
    result = average.back(means)
    group = groups[0]
    return np.ascontiguousarray(to_model(result, group) if group.sample_type is SampleType.FLOAT else result)


def _interval_means(values: Float64Array, edges: Float64Array) -> Float64Array:
    """(n, ...) means of cells along axis 0 between n + 1 edges, which may lie inside cells."""
    sums = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
    low = np.minimum(edges.astype(np.intp), len(values) - 1)
    part = (edges - low).reshape(-1, *[1] * (values.ndim - 1))
    at = sums[low] + part * (sums[low + 1] - sums[low])
    result: Float64Array = np.diff(at, axis=0) / np.diff(edges).reshape(-1, *[1] * (values.ndim - 1))
    return result


def _loaded(mip: "Mip", stack: ImageStack, name: str, nan: str, limits: Limits) -> ImageStack:
    if isinstance(mip, ImageStack):
        return mip
    if isinstance(mip, str | os.PathLike):
        return load_image(mip, nan=nan, limits=limits)
    return from_array(mip, source_name=name, nan=nan, as_floats=has_floats(stack.groups))


def _check_size(size: tuple[int, int], whole: tuple[int, int], name: str) -> None:
    for level in range(1, max(whole).bit_length()):
        lengths = [{max(1, length >> level), -(-length >> level)} for length in whole]
        if size[0] in lengths[0] and size[1] in lengths[1]:
            return
    (height, width), (rows, columns) = whole, size
    fact = "is the size of the picture" if size == whole else f"is no half, quarter ... of {width}x{height}"
    raise InvalidArgument(f"{name}: {columns}x{rows} px {fact}; name mips of the levels from 1 on")


def _as_stored(mip: ImageStack, stack: ImageStack, name: str) -> Float32Array:
    """Samples (h, w, C) of a mip with the channels that are stored of the picture."""
    group = stack.groups[0]
    is_float = group.sample_type is SampleType.FLOAT
    if has_floats(mip.groups) != is_float:
        kinds = ("floats", "integers") if is_float else ("integers", "floats")
        raise InvalidArgument(f"{name}: the picture has {kinds[0]}, its mip {kinds[1]}; save them alike")
    values = to_values(mip.samples, mip.groups)
    unit_z = any(entry.unit_z for entry in stack.files)
    if values.shape[2] != group.n_channels:
        values = _with_channels(values, group, unit_z=unit_z, name=name)
    samples = to_model(values, group) if is_float else values
    return np.ascontiguousarray(without_hidden(samples, stack.groups), np.float32)


def _with_channels(values: Float32Array, group: ChannelGroup, *, unit_z: bool, name: str) -> Float32Array:
    """A file's channels reduced to those of the group, or extended, as `describe_picture` does for the picture."""
    n_channels = values.shape[2]
    has_alpha = group.alpha is not AlphaMode.NONE
    n_colour = group.n_channels - has_alpha
    colour = values[:, :, : 3 if n_channels >= 3 else 1]
    alpha = values[:, :, -1:] if n_channels in {2, 4} else np.ones_like(values[:, :, :1])
    if not has_alpha and float(alpha.min()) < 1:
        raise InvalidArgument(f"{name}: has an alpha, and the picture none; save it without")
    if unit_z and colour.shape[2] == 3:
        colour = unit_normals(colour)
    if colour.shape[2] == 1 and n_colour == 3:
        colour = np.repeat(colour, 3, axis=2)
    if n_channels > 4 or colour.shape[2] < n_colour:
        raise InvalidArgument(f"{name}: has {n_channels} channels, and the picture {group.n_channels}; save them alike")
    return np.concatenate([colour[:, :, :n_colour], alpha], axis=2) if has_alpha else colour[:, :, :n_colour]
