"""Handling of levels of detail that a file lacks, so that one `--lod` can be used for a folder of files."""

from typing import TYPE_CHECKING, Final

from gscodec.cli._console import say
from gscodec.model.constants import MAX_LODS

if TYPE_CHECKING:
    from gscodec.decoding.image import IgsImage

LAST_LOD: Final = MAX_LODS - 1
"""The coarsest level of detail of any file."""


def shown_lod(lod: int, n_lods: int, name: str) -> int:
    """The level of detail to decode: `lod`, or the coarsest of the file's `n_lods`, with a note on stderr.

    Args:
        lod: 0 is the finest.
        name: name of the file in messages.
    """
    if lod < n_lods:
        return lod
    levels = "1 level" if n_lods == 1 else f"{n_lods} levels"
    say(f"{name}: has {levels} of detail, decoding LOD {n_lods - 1}")
    return n_lods - 1


def chosen_lod(lod: int | None, image: "IgsImage", name: str) -> int | None:
    """The level of detail to request: as `shown_lod`; None, with a note on stderr, if the file is truncated.

    Args:
        lod: value of the option; None leaves the choice to the library.
        name: name of the file in messages.
    """
    if lod is not None:
        return shown_lod(lod, image.lods, name)
    if image.available_lods and image.available_lods[0] > 0:
        say(f"{name}: truncated; LOD {image.available_lods[0]} is its finest complete level")
    return None
