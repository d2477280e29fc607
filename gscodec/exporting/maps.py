"""Splits a map into textures: usually one; for an OpenEXR file with layers, one per layer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np

from gscodec.decoding.image import IgsImage
from gscodec.format.files import FileEntry
from gscodec.image.alpha import covers
from gscodec.image.levels import full_range
from gscodec.image.normals import Meaning
from gscodec.material.restore import Restored, normal_meaning
from gscodec.model.channels import COLOURS, AlphaMode, ChannelGroup, channel_spans
from gscodec.model.gaussians import Float32Array

MOST_CHANNELS = 4
"""Maximum number of channels of a texture."""


@dataclass(frozen=True)
class Texture:
    """Samples of one texture."""

    name: str  # of its file, without suffix
    samples: Float32Array  # float32 (H, W, C), C from 1 to 4; 0..1 for integer sources
    group: ChannelGroup  # channel group of the C channels
    meaning: Meaning | None = None  # meaning of a normal map's third channel


def base_names(image: IgsImage, entries: Sequence[FileEntry], stem: str | None) -> dict[str, str]:
    """File names of each map, without suffix: that of its source; `stem` for a single picture.

    Names are not sanitised yet, and those of several maps may still collide.
    """
    if len(image.files) == 1 and stem:
        return {entry.name: stem for entry in entries}
    names = {entry.name: PurePath(entry.name).stem for entry in entries}
    if len({name.casefold() for name in names.values()}) < len(names):
        return {entry.name: entry.name for entry in entries}
    return names


def textures_of(restored: Restored, base: str, image: IgsImage) -> list[Texture]:
    """Textures of a map. The first is named `base`, the others `base` and their channels' name, not sanitised yet."""
    samples = full_range(restored.samples, np.float32)
    textures: list[Texture] = []
    groups = list(restored.groups)
    modes = {cover.holder: cover.mode for cover in covers(groups)}
    for number, (group, channels) in enumerate(channel_spans(groups)):
        part = samples[:, :, channels]
        name = base if number == 0 else f"{base}_{group.name}"
        if group.n_channels == 1 and number in modes:
            textures[-1] = _with_alpha(textures[-1], part, modes[number])
        elif group.n_channels > MOST_CHANNELS:
            single = replace(group, n_channels=1, alpha=AlphaMode.NONE)
            textures += [Texture(f"{name}_{k}", part[:, :, k : k + 1], single) for k in range(group.n_channels)]
        else:
            textures.append(Texture(name, part, group))
    if len(groups) == 1 and len(textures) == 1 and not restored.entry.exr:
        textures = [_without_additions(textures[0], restored.entry, image)]
    return [
        replace(texture, meaning=normal_meaning(texture.samples, texture.group, restored.entry)) for texture in textures
    ]


def _with_alpha(texture: Texture, alpha: Float32Array, mode: AlphaMode) -> Texture:
    group = replace(texture.group, n_channels=texture.group.n_channels + 1, alpha=mode)
    return Texture(texture.name, np.concatenate([texture.samples, alpha], axis=2), group)


def _without_additions(texture: Texture, entry: FileEntry, image: IgsImage) -> Texture:
    """The texture without channels that only its source's file type needs: an opaque alpha, copies of a channel."""
    stored = entry.constant_group or next(group for group in image.groups if group.name == entry.groups[0])
    samples, group = texture.samples, texture.group
    if group.alpha is not AlphaMode.NONE and stored.alpha is AlphaMode.NONE:
        samples, group = samples[:, :, :-1], replace(group, n_channels=group.n_channels - 1, alpha=AlphaMode.NONE)
    if stored.n_channels == 1 and group.n_channels > 1 and group.role not in COLOURS:
        samples, group = samples[:, :, :1], replace(group, n_channels=1)
    return replace(texture, samples=samples, group=group)
