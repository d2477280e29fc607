"""Pictures of the source files recorded in an open `.igs` file: selected by name, rendered, with their mips."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gscodec.decoding.automatic import Bounds, Region, is_much_smaller, is_tiny
from gscodec.decoding.mips import mip_levels, mip_sizes
from gscodec.decoding.planning import Planner
from gscodec.errors import InvalidArgument
from gscodec.format.files import FileEntry
from gscodec.image.levels import full_range, to_native
from gscodec.material.restore import Restored, normal_meaning, restore
from gscodec.model.channels import ChannelGroup, channel_spans
from gscodec.model.gaussians import Float32Array

Render = Callable[[int, Region, tuple[int, int], bool], Float32Array]
"""Returns float32 (height, width, C) of a level, a region and a size (height, width); the flag asks for a thumbnail."""


class SourceFiles:
    """The source files of an open file, and how to render them.

    Args:
        name: name of the `.igs` file in messages.
        entries: the source files.
        groups: channel groups of the stored channels.
        icc: the ICC profile of the `.igs` file.
        planner: chooses levels and checks costs.
        render: renders all stored channels.
    """

    def __init__(
        self,
        name: str,
        entries: Sequence[FileEntry],
        groups: tuple[ChannelGroup, ...],
        icc: bytes | None,
        planner: Planner,
        render: Render,
    ) -> None:
        self._name, self._entries, self._groups, self._icc = name, entries, groups, icc
        self._planner, self._render = planner, render

    def select(self, names: Sequence[str] | None) -> list[FileEntry]:
        """As `IgsImage.select`."""
        if names is None:
            return list(self._entries)
        for wanted in names:
            if not any(self._matches(entry, [wanted]) for entry in self._entries):
                known = ", ".join(entry.name for entry in self._entries)
                raise InvalidArgument(f"{self._name}: has no map {wanted!r}; its maps are {known}")
        return [entry for entry in self._entries if self._matches(entry, names)]

    def _matches(self, entry: FileEntry, names: Sequence[str]) -> bool:
        groups = [group for group in self._groups if group.name in entry.groups]
        if entry.constant_group is not None:
            groups.append(entry.constant_group)
        known = {entry.name, entry.name.rpartition(".")[0], *(text for g in groups for text in (g.name, g.role.value))}
        return any(name in known for name in names)

    def render(
        self,
        only: Sequence[str] | None,
        lod: int | None,
        part: Region,
        size: tuple[int, int] | None,
        bounds: Bounds,
        dtype: npt.DTypeLike | None,
        *,
        own_sizes: bool,
    ) -> dict[str, Restored]:
        """As `IgsImage.render_files`.

        Args:
            part: the region, in stored pixels.
            size: requested (height, width); None means the region's.
            own_sizes: whether neither region nor size was requested, so that each picture has its own size.
        """
        chosen = self.select(only)
        size_for_all = None if own_sizes else size or (part[3], part[2])
        sizes = {entry.name: size_for_all or (entry.height, entry.width) for entry in chosen}
        level = self._planner.level(lod, bounds) if lod is not None or size is None else None
        plan = {
            shown: (level is None and is_much_smaller(part, shown)) or (lod is None and is_tiny(part, shown))
            for shown in (sizes[entry.name] for entry in chosen if entry.groups)
        }
        self._planner.check_cost([(part, *each) for each in plan.items()], by_caller=not own_sizes)
        n_samples = sum(math.prod(sizes[entry.name]) * entry.n_channels for entry in chosen)
        self._planner.check_samples(n_samples, f"{self._name}: {len(chosen)} files")
        rendered = {
            shown: self._render(
                self._planner.level_for_size(part, shown, bounds) if level is None else level, part, shown, thumbnail
            )
            for shown, thumbnail in plan.items()
        }
        return {
            entry.name: self._restored(entry, rendered.get(sizes[entry.name]), sizes[entry.name], dtype)
            for entry in chosen
        }

    def mips(
        self, only: Sequence[str] | None, lod: int | None, whole: Region, dtype: npt.DTypeLike | None
    ) -> Iterator[dict[str, Restored]]:
        """As `IgsImage.mip_files`; `whole` is the region of the whole picture."""
        finest = self.render(only, lod, whole, None, Bounds(), dtype, own_sizes=True)
        chains = {name: self._chain(restored, dtype) for name, restored in finest.items()}
        del finest
        while True:
            level = {name: next(chain, None) for name, chain in chains.items()}
            pictures = {name: restored for name, restored in level.items() if restored is not None}
            if not pictures:
                return
            yield pictures

    def _chain(self, finest: Restored, dtype: npt.DTypeLike | None) -> Iterator[Restored]:
        """The levels of one file's picture, in the sample type of the finest."""
        if finest.entry.constant_group is not None:
            for size in mip_sizes(*finest.samples.shape[:2]):
                yield self._restored(finest.entry, None, size, dtype)
            return
        yield finest
        for values in mip_levels_of(finest):
            yield replace(finest, samples=_as_finest(values, finest, dtype))

    def _restored(
        self, entry: FileEntry, values: Float32Array | None, size: tuple[int, int], dtype: npt.DTypeLike | None
    ) -> Restored:
        return restore(entry, self._groups, values, size, self._icc, dtype)


def mip_levels_of(finest: Restored) -> Iterator[Float32Array]:
    """float32 (h, w, C) of the levels of a source file's picture that are coarser than the picture itself."""
    samples: Float32Array = full_range(finest.samples, np.float32)
    meanings = [
        normal_meaning(samples[:, :, channels], group, finest.entry) for group, channels in channel_spans(finest.groups)
    ]
    levels = mip_levels(samples, finest.groups, meanings)
    del samples
    next(levels)
    return levels


def _as_finest(values: Float32Array, finest: Restored, dtype: npt.DTypeLike | None) -> npt.NDArray[np.generic]:
    if finest.samples.dtype.kind == "f":
        return values
    return to_native(values, finest.groups) if dtype is None else full_range(values, dtype)
