"""Restores the source files of a stack from its decoded samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.format.files import FileEntry
from gscodec.image.alpha import covers, in_mode
from gscodec.image.levels import full_range, to_native, to_values
from gscodec.image.normals import Meaning, meaning_in, unit_z_of
from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, Role, SampleType, channels_of
from gscodec.model.file_names import numbered

Array = npt.NDArray[Any]


def plain_files(groups: Sequence[ChannelGroup], height: int, width: int) -> tuple[FileEntry, ...]:
    """One file entry per group, for `.igs` files without file entries; groups of one source get distinct names.

    A single group is a picture without a recorded name: it is named after its output.
    """
    is_one = len(groups) == 1
    names = numbered([f"{group.name}.png" if is_one or not group.source else group.source for group in groups])
    return tuple(
        FileEntry(name, width, height, group.n_channels, (group.name,), icc=True if is_one else None)
        for name, group in zip(names, groups, strict=True)
    )


def profile_of(entry: FileEntry, groups: Sequence[ChannelGroup], icc: bytes | None) -> bytes | None:
    """The ICC profile of an `.igs` file, if it belongs to this source file.

    Args:
        groups: of the source file.
    """
    belongs = entry.icc if entry.icc is not None else groups[0].role in COLOURS
    return icc if belongs else None


@dataclass(frozen=True)
class Restored:
    """The decoded picture of one source file."""

    entry: FileEntry
    samples: Array  # (H, W, C) in the source's type, see `to_native`
    groups: tuple[ChannelGroup, ...]  # of the C channels
    icc: bytes | None = None  # ICC profile of the source


def restore(
    entry: FileEntry,
    groups: Sequence[ChannelGroup],
    values: npt.NDArray[np.float32] | None,
    size: tuple[int, int],
    icc: bytes | None = None,
    dtype: npt.DTypeLike | None = None,
) -> Restored:
    """The picture of one source file.

    Args:
        groups: of the C channels of `values`.
        values: (H, W, C) float32 as returned by `IgsImage.render`; ignored for a constant map.
        size: (H, W).
        icc: the ICC profile of the `.igs` file.
        dtype: output type of an integer picture: uint8, uint16 or float32; None keeps the source's type.
    """
    if entry.constant_group is not None:
        part: Array = np.broadcast_to(np.asarray(entry.constant, np.float32), (*size, len(entry.constant)))
        part = to_values(part, (entry.constant_group,))
        own: tuple[ChannelGroup, ...] = (entry.constant_group,)
    else:
        assert values is not None
        own = tuple(group for name in entry.groups for group in groups if group.name == name)
        part = np.concatenate([values[:, :, channels_of(group, groups)] for group in own], axis=2)
    if entry.binary_alpha:
        part = np.array(part)
        for cover in covers(own):
            part[:, :, cover.alpha] = part[:, :, cover.alpha] >= 0.5
    if entry.exr:
        if entry.exr.get("premultiplied"):
            part, own = in_mode(part, own, AlphaMode.PREMULTIPLIED)
        return Restored(entry, part, own, profile_of(entry, own, icc))
    return Restored(entry, *_picture(entry, own[0], part, dtype), profile_of(entry, own, icc))


def _picture(
    entry: FileEntry, group: ChannelGroup, values: Array, dtype: npt.DTypeLike | None
) -> tuple[Array, tuple[ChannelGroup, ...]]:
    """Samples with all channels of the source file, and their single group."""
    if entry.unit_z:
        values = np.concatenate([values, unit_z_of(np.clip(values, 0, 1))[:, :, None]], axis=2)
    if entry.fill is not None:
        values = np.concatenate([values, np.full((*values.shape[:2], 1), entry.fill, np.float32)], axis=2)
    if entry.binary:
        values = (values >= 0.5).astype(np.float32)
    if group.n_channels == 1 and entry.n_channels in {3, 4}:
        values = np.repeat(values, 3, axis=2)
    alpha = group.alpha
    if values.shape[2] < entry.n_channels:
        values = np.concatenate([values, np.ones((*values.shape[:2], 1), np.float32)], axis=2)
        alpha = AlphaMode.STRAIGHT
    whole = (replace(group, n_channels=values.shape[2], alpha=alpha),)
    if group.sample_type is SampleType.FLOAT:
        return values, whole
    return (to_native(values, whole) if dtype is None else full_range(values, dtype)), whole


def normal_meaning(samples: npt.NDArray[np.float32], group: ChannelGroup, entry: FileEntry) -> Meaning | None:
    """Meaning of the third channel of a restored normal map (H, W, C), or a part of one; None for other maps.

    Args:
        entry: the file, which may record it; samples show it where that does not.
    """
    if group.role is Role.NORMAL and samples.shape[2] > 1 and not entry.exr:
        if entry.unit_z:
            return Meaning.UNIT
        if entry.fill is not None:
            return Meaning.XY
    return meaning_in(samples, group)
