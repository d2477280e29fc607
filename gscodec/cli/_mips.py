"""Names of the levels of a mip chain, checked before the first is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gscodec.decoding.image import IgsImage


def mip_path(path: str | Path, level: int) -> str:
    """Where a level goes: `rock.png` itself, then `rock.mip1.png`, `rock.mip2.png`."""
    finest = Path(path)
    return str(finest.with_name(f"{finest.stem}.mip{level}{finest.suffix}") if level else finest)


def mip_paths(path: str | Path, height: int, width: int) -> list[Path]:
    """Where the levels of a picture of that size go."""
    from gscodec.decoding.mips import mip_sizes

    return [Path(mip_path(path, level)) for level in range(len(mip_sizes(height, width)))]


def check_mips(path: Path, image: "IgsImage", overwrite: bool, inputs: Sequence[str]) -> None:
    """Look at where the levels of a file's one picture would go.

    Raises:
        InvalidArgument: one is an input.
        OutputExists: one is there and must not be replaced.
    """
    from gscodec.material.outputs import refuse_inputs, taken

    levels = mip_paths(path, image.files[0].height, image.files[0].width)
    refuse_inputs(levels, inputs)
    for level in levels:
        if level.exists() and not overwrite:
            raise taken(level, image.source_names)
