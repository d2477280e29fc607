"""Names of the levels of a mip chain, checked before the first is written."""

from pathlib import Path

from gscodec.errors import OutputExists


def mip_path(path: str | Path, level: int) -> str:
    """Where a level goes: `rock.png` itself, then `rock.mip1.png`, `rock.mip2.png`."""
    finest = Path(path)
    return str(finest.with_name(f"{finest.stem}.mip{level}{finest.suffix}") if level else finest)


def mip_paths(path: str | Path, height: int, width: int) -> list[Path]:
    """Where the levels of a picture of that size go."""
    from gscodec.decode.mips import mip_sizes

    return [Path(mip_path(path, level)) for level in range(len(mip_sizes(height, width)))]


def check_mips(path: str | Path, height: int, width: int, overwrite: bool) -> None:
    """Look at where the levels of a picture would go.

    Raises:
        OutputExists: one is there and must not be replaced.
    """
    for level in mip_paths(path, height, width):
        if level.exists() and not overwrite:
            raise OutputExists(f"{level}: exists already; use --overwrite to replace it")
