"""Writes decoded pictures to files: their names, which files may be replaced, and their contents.

`gscodec decode` and `gscodec.decode` use this module; `gscodec batch --decode` and `gscodec export` use it to encode
their pictures. A single picture goes to a file, with the metadata of its source; the maps of a stack go to a folder,
each under its own name, with the ICC profile if it is one of that map's. All files are checked before the first is
written, and each is written completely or not at all.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from gscodec.decoding.image import IgsImage, open_igs
from gscodec.decoding.large_files import is_streamed, stream_picture
from gscodec.decoding.mips import mip_sizes
from gscodec.errors import InvalidArgument, file_access_error
from gscodec.format.files import FileEntry
from gscodec.format.metadata import Metadata
from gscodec.image.file_types.registry import restored_suffixes
from gscodec.image.levels import has_floats
from gscodec.image.picture_names import picture_names, usual_suffix
from gscodec.image.save import encode_image
from gscodec.io.atomic import write_atomic
from gscodec.io.handles import Target, as_handle, write_handle
from gscodec.io.source import SourceLike
from gscodec.io.streams import write_stdout
from gscodec.material.outputs import (
    STREAM,
    Note,
    check_outputs,
    default_folder,
    display_name,
    is_url,
    make_folder,
    output_path,
    silent,
    stem_of,
)
from gscodec.material.restore import Restored
from gscodec.model.channels import ChannelGroup, Role
from gscodec.model.file_names import file_key
from gscodec.model.limits import DEFAULT_LIMITS, Limits

BITS: Final = (8, 16, 32)
"""Supported bits per sample of written pictures."""


@dataclass(frozen=True)
class Decoded:
    """A picture that has been written."""

    path: Path | None  # None means stdout, or the open file
    source: str  # name of its source file, as in `IgsImage.files`
    level: int  # mip level; 0 is the picture itself
    width: int  # px
    height: int


@dataclass(frozen=True)
class DecodeOptions:
    """Part and level to decode from a file, and the output format; the arguments of `decode`.

    Raises:
        InvalidArgument: options that contradict each other.
    """

    only: Sequence[str] | None = None
    lod: int | None = None
    region: Sequence[int] | None = None
    size: Sequence[int] | None = None
    max_bytes: int | None = None
    max_gaussians: int | None = None
    mips: bool = False
    format: str | None = None
    bits: int | None = None
    overwrite: bool = False
    available: bool = False

    def __post_init__(self) -> None:
        if self.bits not in {None, *BITS}:
            raise InvalidArgument(f"pictures have {', '.join(map(str, BITS))} bits per sample, not {self.bits}")
        if self.mips and (self.is_bounded or self.region is not None or self.size is not None):
            raise InvalidArgument("mips are made of the whole picture: give no size, region or bound")
        if self.available and (self.mips or self.is_bounded or self.lod is not None):
            raise InvalidArgument("what has arrived is shown at a level for each tile: give no level, bound or mips")

    @property
    def is_bounded(self) -> bool:
        """Whether a bound decides the level of detail."""
        return self.max_bytes is not None or self.max_gaussians is not None

    @property
    def request(self) -> dict[str, Any]:
        """Arguments of `IgsImage.render` and similar methods."""
        if self.mips:
            return {"lod": self.lod}
        bounds = {"max_bytes": self.max_bytes, "max_gaussians": self.max_gaussians}
        return {"lod": self.lod, "region": self.region, "size": self.size, **bounds, "available": self.available}


def decode(
    source: SourceLike,
    output: Target | None = None,
    *,
    only: Sequence[str] | None = None,
    lod: int | None = None,
    region: Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    max_bytes: int | None = None,
    max_gaussians: int | None = None,
    mips: bool = False,
    format: str | None = None,  # noqa: A002 - the word that everyone uses
    bits: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    available: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    grain: bool = True,
) -> list[Decoded]:
    """Decode an `.igs` file to a picture, or a stack to its maps; each file is written completely or not at all.

    Args:
        source: a path, a URL, bytes or an open binary file.
        output: path of the picture, or a folder for maps, which is created if missing; or a binary file open for
            writing, which gets the picture, or the map that `only` names, as PNG or `format`. None means `source` with
            the suffix `.png` (`.exr` for floats), or without suffix for a folder; `.decoded` is added if that could be
            the source of the file.
        only: names of maps: file names, with or without suffix, groups, or roles; None means all.
        lod: level of detail, 0 the finest; None chooses it by the size, as in `IgsImage.render`.
        region: (x, y, width, height) in stored pixels; None means the whole picture.
        size: (height, width) of the pictures in px; None means their own, or the region's.
        max_bytes, max_gaussians: if lod is None, the finest level within these bounds is used.
        mips: also write the mip chain: `rock.png`, `rock.mip1.png` and so on (`gscodec.decoding.mips`).
        format: file type, as a suffix; None means that of `output`, or of the maps' own names.
        bits: 8, 16 or 32 bits per sample; 16 and 32 are floats for float files. None means the file's own depth.
        device, threads, limits, grain: as in `gscodec.open`.
        overwrite: replace existing files, but never the source of the file unless `output` names it.
        available: of a truncated file, show each tile at the finest level that has arrived there.

    Returns:
        Files written, level by level, in the order of the file's maps.

    Raises:
        InvalidArgument: contradictory arguments, several maps for one file, or an output that is the input.
        OutputExists: a file exists and overwrite is False; nothing has been written.
        FileAccessError: a path cannot be written.
        GsCodecError: as `IgsImage.render_files` and `save_image`.
    """
    options = DecodeOptions(only, lod, region, size, max_bytes, max_gaussians, mips, format, bits, overwrite, available)
    handle = as_handle(output)
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    with open_igs(source, device=device, threads=threads, limits=limits, grain=grain) as image:
        if handle is not None:
            return decode_to_files(image, name, STREAM, options, write=partial(write_handle, handle))
        path = os.fspath(output) if isinstance(output, str | os.PathLike) else None
        return decode_to_files(image, name, path, options)


def decode_to_files(
    image: IgsImage,
    source: str | None,
    output: str | None,
    options: DecodeOptions,
    note: Note = silent,
    check_stdout: Callable[[], None] = lambda: None,
    write: Callable[[bytes], None] | None = None,
) -> list[Decoded]:
    """Write the pictures of an open file, as `decode` does.

    Args:
        source: path or URL of the file, from which names of unnamed pictures are derived; `-` means stdin, whose
            picture goes to stdout. None if there is none.
        output: as in `decode`; `-` is stdout.
        note: called with a message if pictures are written to another place than the usual one.
        check_stdout: called before anything is decoded for stdout; raises if stdout cannot take binary data.
        write: takes the bytes of a picture in place of stdout.
    """
    if output is None and source is None:
        raise InvalidArgument("an .igs file from memory has no path: name an output")
    is_stack = len(image.files) > 1 and not _is_one_picture(image.groups, output)
    targets = _Targets(image, source, output, options, note, check_stdout, write or _to_stdout)
    return list(_write_maps(targets) if options.only is not None or is_stack else _write_picture(targets))


def picture_bytes(
    picture: Restored,
    name: str,
    *,
    format_name: str | None = None,
    bits: int | None = None,
    metadata: Metadata | None = None,
) -> bytes:
    """Encoded file of a source file's picture, with its own ICC profile and the attributes of its OpenEXR file.

    Args:
        picture: as returned by `IgsImage.render_files`.
        name: name of the file; its suffix is the file type if `format_name` is None.
        metadata: of the `.igs` file, if it holds a single picture.

    Raises:
        GsCodecError: as `save_image`.
    """
    return encode_image(
        name,
        picture.samples,
        picture.groups,
        picture.icc,
        bit_depth=bits,
        format_name=format_name,
        exr=picture.entry.exr,
        metadata=metadata,
    )


def mip_path(path: Path, level: int) -> Path:
    """Path of a mip level: `rock.png` itself, then `rock.mip1.png`, `rock.mip2.png`."""
    return path.with_name(f"{path.stem}.mip{level}{path.suffix}") if level else path


def _is_picture_name(output: str) -> bool:
    return output == STREAM or PurePath(output).suffix.lower() in restored_suffixes()


def _is_one_picture(groups: Sequence[ChannelGroup], output: str | None) -> bool:
    """Whether groups without file names are decoded to one picture: colour, and opacity as its alpha."""
    wanted = output is not None and _is_picture_name(output)
    return wanted and len(groups) == 2 and groups[1].role is Role.OPACITY and not any(g.source for g in groups)


def _write_picture(targets: "_Targets") -> Iterator[Decoded]:
    """Write the single picture of a file, and its mips."""
    image, options, entry = targets.image, targets.options, targets.image.files[0]
    path, suffix = targets.picture(entry)
    place = options.region, options.size
    may_stream = path is not None and not (options.mips or options.is_bounded or options.available)
    if path is not None and may_stream and is_streamed(image, path, options.format, options.bits, *place):
        height, width = stream_picture(image, path, options.bits, options.lod, *place, options.overwrite)
        yield Decoded(path, entry.name, 0, width, height)
        return
    format_name = options.format or (suffix if path is None else None)
    for level, picture in enumerate(_pictures(image, entry, options)):
        yield _written(targets, path, level, picture, format_name, image.metadata)


def _pictures(image: IgsImage, entry: FileEntry, options: DecodeOptions) -> Iterator[Restored]:
    """The picture, converted to the output's depth, or its mip chain."""
    deep = {8: np.uint8, 16: np.uint16}.get(options.bits or 0)
    request = options.request | {"dtype": None if has_floats(image.groups) else deep}
    if image.has_file_chunk:
        for maps in image.mip_files(None, **request) if options.mips else [image.render_files(None, **request)]:
            yield from maps.values()
        return
    for samples in image.mips(**request) if options.mips else [image.render(**request)]:
        yield Restored(entry, samples, image.groups, image.icc)


def _write_maps(targets: "_Targets") -> Iterator[Decoded]:
    """Write the maps of a stack, or selected maps, and their mips."""
    image, options = targets.image, targets.options
    paths = targets.maps(image.select(options.only))
    request = options.request
    levels = image.mip_files([*paths], **request) if options.mips else [image.render_files([*paths], **request)]
    for level, maps in enumerate(levels):
        for name, picture in maps.items():
            path = paths[name]
            if path is not None:
                make_folder(path.parent)
            yield _written(targets, path, level, picture, options.format, None)


def _to_stdout(data: bytes) -> None:
    write_stdout([data])


def _written(
    targets: "_Targets",
    finest: Path | None,
    level: int,
    picture: Restored,
    format_name: str | None,
    metadata: Metadata | None,
) -> Decoded:
    """Write a level of a picture beside the finest one, or to stdout or another stream."""
    options = targets.options
    path = None if finest is None else mip_path(finest, level)
    name = STREAM if path is None else os.fspath(path)
    data = picture_bytes(picture, name, format_name=format_name, bits=options.bits, metadata=metadata)
    if path is None:
        targets.write(data)
    else:
        write_atomic(path, data, options.overwrite)
    height, width = picture.samples.shape[:2]
    return Decoded(path, picture.entry.name, level, width, height)


@dataclass(frozen=True)
class _Targets:
    """Output paths of the pictures of a file; fields as the arguments of `decode_to_files`."""

    image: IgsImage
    source: str | None
    output: str | None
    options: DecodeOptions
    note: Note
    check_stdout: Callable[[], None]
    write: Callable[[bytes], None]

    def picture(self, entry: FileEntry) -> tuple[Path | None, str]:
        """Path of a single picture, None for stdout, and its usual suffix; existing files are checked.

        Raises:
            InvalidArgument: several mips for stdout, or the output is the input.
            OutputExists, FileAccessError: the path cannot be written.
        """
        options, made_of = self.options, self.image.source_names
        suffix = f".{options.format.lower().removeprefix('.')}" if options.format else usual_suffix(entry)
        path = output_path(self.source, self.output, suffix, options.overwrite, made_of=made_of, note=self.note)
        self._check_stdout(path)
        if options.mips and path is not None:
            files = self._levels(path, entry)
            check_outputs(files, self._inputs, made_of, overwrite=options.overwrite)
        return path, suffix

    def maps(self, entries: Sequence[FileEntry]) -> dict[str, Path | None]:
        """Path of each map, None for stdout; existing files at these paths or those of the mip chains are checked.

        Raises:
            InvalidArgument: several maps for one file, or several mips for stdout; or the output is the input.
            OutputExists, FileAccessError: a path cannot be written.
        """
        output, folder = self.output, None
        paths: dict[str, Path | None]
        if output is not None and _is_picture_name(output) and not Path(output).is_dir():
            if len(entries) > 1:
                listed = ", ".join(entry.name for entry in entries)
                raise InvalidArgument(f"{output}: cannot store {listed}; name a folder, or select one map with --only")
            path = None if output == STREAM else Path(output)
            self._check_stdout(path)
            paths = {entries[0].name: path}
        else:
            folder = self._folder()
            names = picture_names(entries, self.options.format)
            paths = {entry.name: folder / name for entry, name in zip(entries, names, strict=True)}
        files = [level for entry in entries for level in self._levels(paths[entry.name], entry)]
        _refuse_twice([path.name for path in files])
        overwrite = self.options.overwrite
        check_outputs(files, self._inputs, self.image.source_names, overwrite=overwrite, folder=folder)
        return paths

    def _folder(self) -> Path:
        """Folder for maps: the named one, or one derived from the file's name."""
        made_of = self.image.source_names
        if self.output is not None:
            folder = Path(self.output)
        elif self.source is None or self.source == STREAM:
            raise InvalidArgument("stdin is a stack of maps: name a folder for them")
        else:
            usual = stem_of(self.source).with_suffix("")
            folder = default_folder(usual, made_of)
            if folder != usual:
                what = "files of the names" if made_of else "pictures, maybe those"
                self.note(f"{usual} has {what} that {display_name(self.source)} was made of: the maps go to {folder}")
        if folder.exists() and not folder.is_dir():
            raise file_access_error(f"{folder}: is a file; name a folder for the maps", errno.ENOTDIR, folder)
        return folder

    def _check_stdout(self, path: Path | None) -> None:
        if path is None:
            self.check_stdout()
            if self.options.mips:
                raise InvalidArgument("--mips writes several pictures: name an output file")

    def _levels(self, path: Path | None, entry: FileEntry) -> list[Path]:
        """Paths of a picture: one, or one per level of its mip chain."""
        if path is None:
            return []
        n_levels = len(mip_sizes(entry.height, entry.width)) if self.options.mips else 1
        return [mip_path(path, level) for level in range(n_levels)]

    @property
    def _inputs(self) -> list[str]:
        return [] if self.source is None or is_url(self.source) else [self.source]


def _refuse_twice(names: Sequence[str]) -> None:
    """Raise if mip chains collide: the first level of `a.mip1.png` has the path of the second of `a.png`."""
    seen: set[str] = set()
    for name in names:
        if file_key(name) in seen:
            raise InvalidArgument(
                f"two of the mip chains would write {name}; take one of the maps at a time with --only"
            )
        seen.add(file_key(name))
