"""Levels of detail that a file does not have: a folder of files is decoded with one `--lod`."""

from typing import TYPE_CHECKING, Final

from gscodec.cli._console import say
from gscodec.model.constants import MAX_LODS

if TYPE_CHECKING:
    from gscodec.decoding.image import IgsImage

LAST_LOD: Final = MAX_LODS - 1
"""The coarsest level of detail that any file can have."""


def shown_lod(lod: int, n_lods: int, name: str) -> int:
    """The level of detail to show: `lod`, or the coarsest of the file's `n_lods` with a note on stderr.

    Args:
        lod: 0 is the finest.
        name: what messages call the file.
    """
    if lod < n_lods:
        return lod
    levels = "1 level" if n_lods == 1 else f"{n_lods} levels"
    say(f"{name}: has {levels} of detail, LOD {n_lods - 1} is shown")
    return n_lods - 1


def chosen_lod(lod: int | None, image: "IgsImage", name: str) -> int | None:
    """The level of detail to ask an open file for: as `shown_lod`; None, with a note on stderr for a cut file.

    Args:
        lod: of the command line; None leaves the choice to the library.
        name: what messages call the file.
    """
    if lod is not None:
        return shown_lod(lod, image.lods, name)
    if image.available_lods and image.available_lods[0] > 0:
        say(f"{name}: cut short; LOD {image.available_lods[0]} is the finest it holds")
    return None
