"""Every file that an encode reads, so that none of them becomes its output."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gscodec.errors import GsCodecError
from gscodec.image.file_types.registry import read_suffixes
from gscodec.material.manifest import read_manifest


def input_files(paths: Sequence[str | os.PathLike[str]]) -> Iterator[Path]:
    """The files behind the paths of a source: themselves, a folder's pictures, a manifest and what it lists.

    What cannot be read is left out; loading the source reports the error.
    """
    for name in paths:
        path = Path(name)
        yield path
        if path.is_dir():
            try:
                suffixes = read_suffixes()
                yield from (file for file in path.iterdir() if file.suffix.lower() in suffixes)
            except OSError:
                continue
        elif path.suffix.lower() == ".toml" and len(paths) == 1:
            try:
                manifest = read_manifest(path)
            except GsCodecError:
                continue
            yield from (file.path for file in manifest.maps)
            if manifest.mask is not None:
                yield manifest.mask
