"""`gscodec.export`: writes the maps of an `.igs` file as texture files."""

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Final, Literal

import numpy as np

from gscodec.decoding.image import IgsImage, open_igs
from gscodec.decoding.mips import mip_levels, mip_sizes
from gscodec.decoding.source_files import mip_levels_of
from gscodec.decoding.to_files import picture_bytes
from gscodec.errors import FileAccessError, InvalidArgument
from gscodec.exporting.choice import choose
from gscodec.exporting.dds import pack_dds
from gscodec.exporting.formats import CHOICES, FORMATS, TexelFormat
from gscodec.exporting.green import with_green
from gscodec.exporting.ktx2 import MAX_ZSTD, pack_ktx2
from gscodec.exporting.maps import Texture, base_names, textures_of
from gscodec.exporting.packing import Packing, entry_of, packed, parse_packing
from gscodec.exporting.texels import level_bytes
from gscodec.image.levels import full_range
from gscodec.io.atomic import write_atomic
from gscodec.io.source import SourceLike, is_url, name_of_url
from gscodec.material.outputs import check_outputs, default_folder, make_folder
from gscodec.material.restore import Restored
from gscodec.model.channels import COLOURS, AlphaMode, NormalConvention, has_srgb_codes
from gscodec.model.file_names import MAX_NAME_BYTES, distinct_file_names, file_key, safe_file_name
from gscodec.model.limits import DEFAULT_LIMITS, Limits

TARGETS: Final = ("dds", "ktx2", "png", "exr")
"""Supported file types."""

_NAME_BYTES: Final = MAX_NAME_BYTES - len("_mip20")
_CONTAINERS: Final = {"dds", "ktx2"}
_BITS: Final = {"dds": (8, 16, 32), "ktx2": (8, 16, 32), "png": (8, 16), "exr": (16, 32)}


@dataclass(frozen=True)
class Exported:
    """A file that has been written."""

    path: Path
    source: str  # name of the map's source file
    format: str  # texel format, with suffix `srgb` if samplers convert sRGB codes; for pictures the file type
    width: int  # px, of the finest level in the file
    height: int
    levels: int
    n_bytes: int


def export(
    source: SourceLike,
    output: str | os.PathLike[str] | None = None,
    *,
    to: str,
    only: Sequence[str] | None = None,
    lod: int | None = None,
    mips: bool | None = None,
    format: str = "auto",  # noqa: A002 - the word that everyone uses
    bits: int | None = None,
    size: tuple[int, int] | None = None,
    normals: Literal["gl", "dx"] | None = None,
    pack: Sequence[str] = (),
    zstd: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Exported]:
    """Write the maps of an `.igs` file as textures into a folder; each file is written completely or not at all.

    DDS and KTX2 have a full mip chain. Texels are compressed by role: colour as BC7 (of sRGB codes if the map has
    them), normals in tangent space as BC5 with X and Y, single-channel maps as BC4, all others as BC7; other floats are
    half floats, light as RGBA. PNG and OpenEXR have one level per file.

    Args:
        source: path or URL, contents of the file, or an open binary file.
        output: the folder, created if missing; None means the file's path without suffix, with `.exported` appended if
            that folder has files with the names of the file's sources.
        to: `dds`, `ktx2`, `png` or `exr`.
        only: names of maps, see `IgsImage.select`; None means all.
        lod: level of detail of the file, 0 the finest; None means the finest in the file.
        mips: whether to write coarser levels; None means only for dds and ktx2. For png and exr, each is a file.
        format: for dds and ktx2, format that replaces the choice by role: `bc1`, `bc3`, `bc4`, `bc5`, `bc6h`, `bc7` or
            `rgba8`; for ktx2 also `astc-4x4`, 5x5, 6x6, 8x8, 10x10 and 12x12, with one, two or four channels by role.
        bits: for png and exr, as in `decode`; for dds and ktx2, 8, or 16 or 32 for uncompressed texels.
        size: height and width in px of all textures; None keeps those of the maps.
        normals: direction of green in exported normal maps, OpenGL's or DirectX's; None keeps that of each map.
        pack: textures to make of single channels of maps, `orm=ao.r,roughness.r,metalness.r` each. Without `only`, maps
            that go into one are not exported on their own.
        zstd: for ktx2, level of supercompression, 1 to 22.
        limits: caps on the cost of decoding.

    Raises:
        InvalidArgument: contradictory arguments, no such map or level, or an output that is the input.
        OutputExists: a file exists and overwrite is False; nothing has been written.
        FileAccessError: a link leads out of the folder.
        MissingExtra: etcpak, astc-encoder-py or zstandard is not installed.
        GsCodecError: as `IgsImage.render_files` and `save_image`.
    """
    if to not in TARGETS:
        raise InvalidArgument(f"textures are not written as {to!r}; use {', '.join(TARGETS)}")
    if format not in CHOICES:
        raise InvalidArgument(f"format {format!r} is not known: use {', '.join(CHOICES)}")
    if format != "auto" and (to not in _CONTAINERS or bits is not None):
        other = f"{to} files" if to not in _CONTAINERS else "a number of bits"
        raise InvalidArgument(f"format {format} and {other} exclude each other: give one")
    if to == "dds" and format in FORMATS and FORMATS[format].dxgi is None:
        raise InvalidArgument(f"dds files have no format {format}: use ktx2")
    if bits is not None and bits not in _BITS[to]:
        raise InvalidArgument(f"{to} files have {', '.join(map(str, _BITS[to]))} bits, not {bits}")
    if zstd is not None and (to != "ktx2" or not 1 <= zstd <= MAX_ZSTD):
        raise InvalidArgument(f"zstd is a level from 1 to {MAX_ZSTD} for ktx2 files, not {zstd} for {to}")
    packings = [parse_packing(text) for text in pack]
    with open_igs(source, device=device, threads=threads, limits=limits, grain=False) as image:
        folder = _folder(source, output, image.source_names)
        path = source if isinstance(source, str | os.PathLike) else None
        inputs = () if path is None or is_url(os.fspath(path)) else (path,)
        has_mips = (to in _CONTAINERS) if mips is None else mips
        convention = None if normals is None else NormalConvention(normals)
        job = _Job(
            image, folder, inputs, to, has_mips, format, bits, overwrite, size, convention, packings, zstd, threads
        )
        return job.run(only, lod, None if path is None else PurePath(path).stem)


def _folder(source: SourceLike, output: str | os.PathLike[str] | None, made_of: Collection[str]) -> Path:
    if output is None:
        if not isinstance(source, str | os.PathLike):
            raise InvalidArgument("an .igs file from memory has no path: name a folder for its textures")
        path = Path(safe_file_name(name_of_url(os.fspath(source))) if is_url(os.fspath(source)) else source)
        output = path.with_suffix("")
        if output == path:
            raise InvalidArgument(f"{output}: has no suffix to remove: name a folder for its textures")
        output = default_folder(output, made_of, "exported")
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise FileAccessError(f"{folder}: is a file; name a folder for the textures")
    return folder


@dataclass(frozen=True)
class _Work:
    """A map and its textures."""

    restored: Restored
    base: str  # name of its files, without suffix
    textures: list[tuple[Texture, TexelFormat]]  # empty for png and exr
    is_packed: bool = False  # made of channels of several maps


@dataclass(frozen=True)
class _Job:
    image: IgsImage
    folder: Path
    inputs: tuple[str | os.PathLike[str], ...]
    to: str
    mips: bool
    format: str
    bits: int | None
    overwrite: bool
    size: tuple[int, int] | None
    normals: NormalConvention | None
    packings: Sequence[Packing]
    zstd: int | None
    threads: int | None

    def run(self, only: Sequence[str] | None, lod: int | None, stem: str | None) -> list[Exported]:
        parts = [entry_of(one, self.image) for packing in self.packings for one in packing.channels if one.map_name]
        chosen = self.image.select(only)
        if only is None:
            chosen = [entry for entry in chosen if entry not in parts]
        names = base_names(self.image, chosen, stem)
        wanted = list(dict.fromkeys([*names, *(entry.name for entry in parts)]))
        maps = self.image.render_files(wanted, lod, size=self.size) if wanted else {}
        if self.normals is not None:
            maps = {name: with_green(restored, self.normals) for name, restored in maps.items()}
        work_items = [_Work(maps[name], base, self._textures(base, maps[name])) for name, base in names.items()]
        for packing in self.packings:
            restored = packed(packing, self.image, maps)
            work_items.append(
                _Work(restored, packing.name, self._packed_texture(packing.name, restored), is_packed=True)
            )
        work = self._named(work_items)
        paths = [path for one in work for path in self._paths(one)]
        if len({file_key(path.name) for path in paths}) < len(paths):
            raise InvalidArgument(f"{self.folder}: two files would have the same name; select fewer maps with only")
        check_outputs(paths, self.inputs, self.image.source_names, overwrite=self.overwrite, folder=self.folder)
        make_folder(self.folder)
        return [done for one in work for done in self._write(one)]

    def _textures(self, base: str, restored: Restored) -> list[tuple[Texture, TexelFormat]]:
        """Textures of a map for dds and ktx2, each with its format."""
        if self.to not in _CONTAINERS:
            return []
        return [
            (texture, choose(texture, self.format, self.bits)) for texture in textures_of(restored, base, self.image)
        ]

    def _packed_texture(self, base: str, restored: Restored) -> list[tuple[Texture, TexelFormat]]:
        if self.to not in _CONTAINERS:
            return []
        texture = Texture(base, full_range(restored.samples, np.float32), restored.groups[0])
        return [(texture, choose(texture, self.format, self.bits))]

    def _named(self, work: "list[_Work]") -> "list[_Work]":
        """The work with sanitised names that are unique over all maps and their layers."""
        wanted = [name for one in work for name in ([texture.name for texture, _ in one.textures] or [one.base])]
        suffix = f".{self.to}"
        names = (
            name.removesuffix(suffix)
            for name in distinct_file_names(
                [safe_file_name(name, suffix=suffix, max_bytes=_NAME_BYTES) for name in wanted], max_bytes=_NAME_BYTES
            )
        )
        return [
            replace(one, textures=[(replace(texture, name=next(names)), form) for texture, form in one.textures])
            if one.textures
            else replace(one, base=next(names))
            for one in work
        ]

    def _paths(self, one: "_Work") -> Iterator[Path]:
        for texture, _ in one.textures:
            yield self.folder / f"{texture.name}.{self.to}"
        if self.to not in _CONTAINERS:
            height, width = one.restored.samples.shape[:2]
            for number in range(len(mip_sizes(height, width)) if self.mips else 1):
                yield self._picture_path(one.base, number)

    def _picture_path(self, base: str, number: int) -> Path:
        return self.folder / (f"{base}_mip{number}.{self.to}" if self.mips else f"{base}.{self.to}")

    def _write(self, one: "_Work") -> Iterator[Exported]:
        restored = one.restored
        name = restored.entry.name
        for texture, form in one.textures:
            path = self.folder / f"{texture.name}.{self.to}"
            data, n_levels = self._texture(texture, form)
            write_atomic(path, data, self.overwrite)
            height, width = texture.samples.shape[:2]
            srgb = " srgb" if has_srgb_codes(texture.group) and form.vk_srgb is not None else ""
            yield Exported(path, name, f"{form.name}{srgb}", width, height, n_levels, len(data))
        if self.to not in _CONTAINERS:
            for number, samples in enumerate(self._pictures(restored)):
                path = self._picture_path(one.base, number)
                picture = replace(restored, samples=samples)
                if one.is_packed and self.to == "png" and samples.shape[2] in {2, 4}:  # for want of another fourth
                    groups = tuple(replace(group, alpha=AlphaMode.STRAIGHT) for group in restored.groups)
                    picture = replace(picture, groups=groups)
                data = picture_bytes(picture, os.fspath(path), format_name=self.to, bits=self.bits)
                write_atomic(path, data, self.overwrite)
                height, width = samples.shape[:2]
                yield Exported(path, name, self.to, width, height, 1, len(data))

    def _texture(self, texture: Texture, form: TexelFormat) -> tuple[bytes, int]:
        group = texture.group
        height, width = texture.samples.shape[:2]
        samples = texture.samples
        levels = mip_levels(samples, (group,), (texture.meaning,)) if self.mips else [samples]
        chain = [level_bytes(level, group, form, texture.meaning, self.threads) for level in levels]
        flags = {"srgb": has_srgb_codes(group), "premultiplied": group.alpha.value == "premultiplied"}
        if self.to == "dds":
            return pack_dds(chain, height, width, form, **flags), len(chain)
        colour = group.role in COLOURS
        return pack_ktx2(chain, height, width, form, colour=colour, zstd=self.zstd, **flags), len(chain)

    def _pictures(self, restored: Restored) -> Iterator[Any]:
        """Levels of a map to be written as pictures, the first as `decode` would write it."""
        yield restored.samples
        if self.mips:
            yield from mip_levels_of(restored)
