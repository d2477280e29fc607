"""Decoded pictures to files: what they are called, what they may replace, and what is written into each.

`gscodec decode` and `gscodec.decode` are this; `gscodec batch --decode` and `gscodec export` encode their pictures
here. A single picture goes to a file and has the metadata of its source; the maps of a stack go to a folder, each under
its own name and with the ICC profile where it is one of that map's. Every file is checked before the first is written,
and each is written whole or not at all.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
"""Bits that a sample of a written picture may have."""


@dataclass(frozen=True)
class Decoded:
    """A picture that was written."""

    path: Path | None  # None is stdout
    source: str  # name of the source file that it is the picture of, as in `IgsImage.files`
    level: int  # of its mip chain; 0 is the picture itself
    width: int  # px
    height: int


@dataclass(frozen=True)
class DecodeOptions:
    """What of a file is decoded, and how it is written; the arguments of `decode`.

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

    def __post_init__(self) -> None:
        if self.bits not in {None, *BITS}:
            raise InvalidArgument(f"pictures have {', '.join(map(str, BITS))} bits per sample, not {self.bits}")
        if self.mips and (self.is_bounded or self.region is not None or self.size is not None):
            raise InvalidArgument("mips are all sizes of the whole picture: give no size, region or bound")

    @property
    def is_bounded(self) -> bool:
        """Whether the level of detail follows from a bound."""
        return self.max_bytes is not None or self.max_gaussians is not None

    @property
    def request(self) -> dict[str, Any]:
        """Arguments of `IgsImage.render` and its like."""
        if self.mips:
            return {"lod": self.lod}
        bounds = {"max_bytes": self.max_bytes, "max_gaussians": self.max_gaussians}
        return {"lod": self.lod, "region": self.region, "size": self.size, **bounds}


def decode(
    source: str | os.PathLike[str] | bytes,
    output: str | os.PathLike[str] | None = None,
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
    limits: Limits = DEFAULT_LIMITS,
) -> list[Decoded]:
    """Decode an `.igs` file to a picture, or a stack to its maps, each file whole or not at all.

    Args:
        source: a path, a URL or bytes.
        output: the picture, or a folder for maps, which is made where it is missing. None is `source` with the suffix
            `.png` (`.exr` for floats), or without suffix for a folder; `.decoded` is added where that could be the
            source of the file.
        only: names of maps: of files, with or without suffix, of groups, or roles; None is all.
        lod: level of detail, 0 the finest; None follows from the size, as in `IgsImage.render`.
        region: (x, y, width, height) in stored pixels; None is all.
        size: (height, width) of the pictures; None is their own, or the region's.
        max_bytes, max_gaussians: without a LOD, the finest level within that.
        mips: write the mip chain too: `rock.png`, `rock.mip1.png` and so on (`gscodec.decoding.mips`).
        format: file type, as a suffix; None goes by the suffix of `output`, or of the maps' own names.
        bits: 8, 16 or 32 bits per sample; 16 and 32 are floats for float files. None is the file's own.
        device, threads, limits: as in `gscodec.open`.
        overwrite: replace existing files, but never the source of the file unasked.

    Returns:
        What was written, level by level, in the order of the file's maps.

    Raises:
        InvalidArgument: arguments that contradict each other, several maps for one file, or an output that is the
            input.
        OutputExists: a file is there and overwrite is False; nothing was written.
        FileAccessError: a path that cannot be written.
        GsCodecError: as `IgsImage.render_files` and `save_image`.
    """
    options = DecodeOptions(only, lod, region, size, max_bytes, max_gaussians, mips, format, bits, overwrite)
    name = None if isinstance(source, bytes) else os.fspath(source)
    with open_igs(source, device=device, threads=threads, limits=limits) as image:
        return decode_to_files(image, name, None if output is None else os.fspath(output), options)


def decode_to_files(
    image: IgsImage,
    source: str | None,
    output: str | None,
    options: DecodeOptions,
    note: Note = silent,
    check_stdout: Callable[[], None] = lambda: None,
) -> list[Decoded]:
    """Write the pictures of an open file, as `decode` does.

    Args:
        source: path or URL that the file was opened by, after which pictures are named that have no name; `-` is
            stdin, whose picture goes to stdout. None where there is none.
        output: as in `decode`; `-` is stdout.
        note: is told of pictures that go to another place than the usual one.
        check_stdout: is called before anything is decoded for stdout, and raises where that takes no bytes.
    """
    if output is None and source is None:
        raise InvalidArgument("an .igs file without a path: name an output")
    is_stack = len(image.files) > 1 and not _is_one_picture(image.groups, output)
    targets = _Targets(image, source, output, options, note, check_stdout)
    return list(_write_maps(targets) if options.only is not None or is_stack else _write_picture(targets))


def picture_bytes(
    picture: Restored,
    name: str,
    *,
    format_name: str | None = None,
    bits: int | None = None,
    metadata: Metadata | None = None,
) -> bytes:
    """The file of a source file's picture, with its own ICC profile and what its OpenEXR file had beside it.

    Args:
        picture: as `IgsImage.render_files` gives it.
        name: of the file; its suffix is the file type where `format_name` is None.
        metadata: of the `.igs` file, where the picture is all that it holds.

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
    """Where a level goes: `rock.png` itself, then `rock.mip1.png`, `rock.mip2.png`."""
    return path.with_name(f"{path.stem}.mip{level}{path.suffix}") if level else path


def _is_picture_name(output: str) -> bool:
    return output == STREAM or PurePath(output).suffix.lower() in restored_suffixes()


def _is_one_picture(groups: Sequence[ChannelGroup], output: str | None) -> bool:
    """Whether groups that name no files are asked for as one picture: colour with an opacity that is its alpha."""
    wanted = output is not None and _is_picture_name(output)
    return wanted and len(groups) == 2 and groups[1].role is Role.OPACITY and not any(g.source for g in groups)


def _write_picture(targets: "_Targets") -> Iterator[Decoded]:
    """The one picture of a file, and its mips."""
    image, options, entry = targets.image, targets.options, targets.image.files[0]
    path, suffix = targets.picture(entry)
    place = options.region, options.size
    may_stream = path is not None and not options.mips and not options.is_bounded
    if path is not None and may_stream and is_streamed(image, path, options.format, options.bits, *place):
        height, width = stream_picture(image, path, options.bits, options.lod, *place, options.overwrite)
        yield Decoded(path, entry.name, 0, width, height)
        return
    format_name = options.format or (suffix if path is None else None)
    for level, picture in enumerate(_pictures(image, entry, options)):
        yield _written(path, level, picture, options, format_name, image.metadata)


def _pictures(image: IgsImage, entry: FileEntry, options: DecodeOptions) -> Iterator[Restored]:
    """The picture at the depth that is written, or its mip chain."""
    deep = {8: np.uint8, 16: np.uint16}.get(options.bits or 0)
    request = options.request | {"dtype": None if has_floats(image.groups) else deep}
    if image.has_file_chunk:
        for maps in image.mip_files(None, **request) if options.mips else [image.render_files(None, **request)]:
            yield from maps.values()
        return
    for samples in image.mips(**request) if options.mips else [image.render(**request)]:
        yield Restored(entry, samples, image.groups, image.icc)


def _write_maps(targets: "_Targets") -> Iterator[Decoded]:
    """The maps of a stack, or of a file of which maps are named, and their mips."""
    image, options = targets.image, targets.options
    paths = targets.maps(image.select(options.only))
    request = options.request
    levels = image.mip_files([*paths], **request) if options.mips else [image.render_files([*paths], **request)]
    for level, maps in enumerate(levels):
        for name, picture in maps.items():
            path = paths[name]
            if path is not None:
                make_folder(path.parent)
            yield _written(path, level, picture, options, options.format, None)


def _written(
    finest: Path | None,
    level: int,
    picture: Restored,
    options: DecodeOptions,
    format_name: str | None,
    metadata: Metadata | None,
) -> Decoded:
    """Write a level of a picture beside the finest, or to stdout."""
    path = None if finest is None else mip_path(finest, level)
    name = STREAM if path is None else os.fspath(path)
    data = picture_bytes(picture, name, format_name=format_name, bits=options.bits, metadata=metadata)
    if path is None:
        write_stdout([data])
    else:
        write_atomic(path, data, options.overwrite)
    height, width = picture.samples.shape[:2]
    return Decoded(path, picture.entry.name, level, width, height)


@dataclass(frozen=True)
class _Targets:
    """Where the pictures of a file go; the arguments of `decode_to_files`."""

    image: IgsImage
    source: str | None
    output: str | None
    options: DecodeOptions
    note: Note
    check_stdout: Callable[[], None]

    def picture(self, entry: FileEntry) -> tuple[Path | None, str]:
        """The file of a single picture, None for stdout, and its usual suffix, after a look at what is there.

        Raises:
            InvalidArgument: several mips for stdout, or an output is the input.
            OutputExists, FileAccessError: a path that cannot be written.
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
        """The file of each map, None for stdout, after a look at where they, or their mip chains, would go.

        Raises:
            InvalidArgument: several maps for one file, or several mips for stdout; or an output is the input.
            OutputExists, FileAccessError: a path that cannot be written.
        """
        output, folder = self.output, None
        paths: dict[str, Path | None]
        if output is not None and _is_picture_name(output) and not Path(output).is_dir():
            if len(entries) > 1:
                listed = ", ".join(entry.name for entry in entries)
                raise InvalidArgument(f"{output}: cannot hold {listed}; name a folder, or one of them with --only")
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
        """The folder for maps: the one that was named, or one called as the file."""
        made_of = self.image.source_names
        if self.output is not None:
            folder = Path(self.output)
        elif self.source is None or self.source == STREAM:
            raise InvalidArgument("stdin holds a stack of maps: name a folder for them")
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
        """The files of a picture: one, or one for each level of its mip chain."""
        if path is None:
            return []
        n_levels = len(mip_sizes(entry.height, entry.width)) if self.options.mips else 1
        return [mip_path(path, level) for level in range(n_levels)]

    @property
    def _inputs(self) -> list[str]:
        return [] if self.source is None or is_url(self.source) else [self.source]


def _refuse_twice(names: Sequence[str]) -> None:
    """Refuse mip chains that meet: the first level of `a.mip1.png` is the second of `a.png`."""
    seen: set[str] = set()
    for name in names:
        if file_key(name) in seen:
            raise InvalidArgument(
                f"two of the mip chains would write {name}; take one of the maps at a time with --only"
            )
        seen.add(file_key(name))
