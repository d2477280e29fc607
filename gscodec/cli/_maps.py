"""Where the maps of a stack go: a folder, each under its own name."""

import errno
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from gscodec.cli import _console
from gscodec.cli._mips import mip_path, mip_paths
from gscodec.cli._paths import display_name, is_url, stem_of
from gscodec.errors import InvalidArgument, file_access_error
from gscodec.io.streams import is_stream

if TYPE_CHECKING:
    from gscodec.format.files import FileEntry
    from gscodec.material.restore import Restored
    from gscodec.model.channels import ChannelGroup


def is_one_picture(groups: "Sequence[ChannelGroup]", output: str | None) -> bool:
    """Whether groups that name no files are asked for as one picture: colour with an opacity that is its alpha."""
    from gscodec.image.file_types.registry import restored_suffixes
    from gscodec.model.channels import Role

    wanted = output is not None and (
        output == _console.STREAM or PurePath(output).suffix.lower() in restored_suffixes()
    )
    return wanted and len(groups) == 2 and groups[1].role is Role.OPACITY and not any(g.source for g in groups)


class MapTarget:
    """Options of `decode` about its output, for the maps of a stack."""

    def __init__(
        self, source: str, output: str | None, format_name: str | None, depth: int | None, overwrite: bool
    ) -> None:
        self._source, self._output = source, output
        self._format, self._depth, self._overwrite = format_name, depth, overwrite
        self._paths: dict[str, str] = {}

    def check(
        self, entries: "Sequence[FileEntry]", made_of: Collection[str], mips: bool = False
    ) -> "Sequence[FileEntry]":
        """The maps, after a look at where they, or their mip chains, would go.

        Args:
            made_of: names of the files that the maps were made of; nothing goes among them unasked.

        Raises:
            InvalidArgument: several maps for one file, or several mips for stdout; or an output is the input.
            OutputExists, FileAccessError: a path that cannot be written.
        """
        from gscodec.image.file_types.registry import restored_suffixes
        from gscodec.image.picture_names import picture_names
        from gscodec.material.outputs import default_folder, refuse_inputs, taken
        from gscodec.model.file_names import path_in_folder

        output = self._output
        is_file = output is not None and (
            output == _console.STREAM or PurePath(output).suffix.lower() in restored_suffixes()
        )
        if is_file and output is not None and not Path(output).is_dir():
            if len(entries) > 1:
                listed = ", ".join(entry.name for entry in entries)
                raise InvalidArgument(f"{output}: cannot hold {listed}; name a folder, or one of them with --only")
            self._paths = {entries[0].name: output}
        else:
            if output is None and self._source == _console.STREAM:
                raise InvalidArgument("stdin holds a stack of maps: name a folder for them")
            usual = stem_of(self._source).with_suffix("")
            folder = Path(output) if output is not None else default_folder(usual, made_of)
            if output is None and folder != usual:
                source = display_name(self._source)
                what = "files of the names" if made_of else "pictures, maybe those"
                _console.say(f"{usual} has {what} that {source} was made of: the maps go to {folder}")
            if folder.exists() and not folder.is_dir():
                raise file_access_error(f"{folder}: is a file; name a folder for the maps", errno.ENOTDIR, folder)
            names = picture_names(entries, self._format)
            sizes = [(entry.height, entry.width) if mips else (1, 1) for entry in entries]
            chains = [[path.name for path in mip_paths(name, *size)] for name, size in zip(names, sizes, strict=True)]
            _refuse_twice([level for chain in chains for level in chain])
            for level in (level for chain in chains for level in chain):
                path_in_folder(folder, level)  # a link out of the folder is refused
            self._paths = {entry.name: str(folder / name) for entry, name in zip(entries, names, strict=True)}
        for entry in entries:
            path = self._paths[entry.name]
            if mips and path == _console.STREAM:
                raise InvalidArgument("--mips writes several pictures: name an output file")
            if path == _console.STREAM:
                continue
            levels = mip_paths(path, entry.height, entry.width) if mips else [Path(path)]
            if not is_url(self._source):
                refuse_inputs(levels, [self._source])
            for place in levels:
                if place.exists() and not self._overwrite and not is_stream(place):
                    raise taken(place, made_of)
        return entries

    def write(self, maps: "dict[str, Restored]", level: int = 0) -> None:
        """Every map into its file, each whole or not at all; the folder is made where it is missing.

        Args:
            level: of the maps' mip chains.
        """
        from gscodec.image.save import save_image

        for name, restored in maps.items():
            path = self._paths[name]
            path = path if path == _console.STREAM else mip_path(path, level)
            if path != _console.STREAM:
                folder = Path(path).parent
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except OSError as fault:
                    raise file_access_error(f"{folder}: cannot be made: {fault.strerror}", fault) from fault
            save_image(
                path,
                restored.samples,
                restored.groups,
                restored.icc,
                bit_depth=self._depth,
                format=self._format,
                overwrite=self._overwrite,
                exr=restored.entry.exr,
            )


def _refuse_twice(names: Sequence[str]) -> None:
    """Refuse mip chains that meet: the first level of `a.mip1.png` is the second of `a.png`."""
    from gscodec.model.file_names import file_key

    seen: dict[str, str] = {}
    for name in names:
        if file_key(name) in seen:
            raise InvalidArgument(
                f"two of the mip chains would write {name}; take one of the maps at a time with --only"
            )
        seen[file_key(name)] = name
