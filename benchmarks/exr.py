"""OpenEXR files there and back: what is kept, how near values come back, and what is refused in which words.

    python benchmarks/exr.py FOLDER [--bpp 0.5] [--output FILE.md]

Every file is encoded with preset `fast` and decoded to OpenEXR again. Names, types, windows and chromaticities must be
those of the source, else the script ends with code 1. Files that are refused because of NaN or infinities are encoded
with `--nan hole` as well. Errors near 0.5 and near 10,000 are medians of |decoded / source - 1| over samples of 0.4 to
0.625 and 8,000 to 12,500, the same span of ratios.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenEXR
from gscodec_bench.machine import machine

import gscodec
from gscodec.cli.app import main as gscodec_main
from gscodec.errors import GsCodecError
from gscodec.image.levels import to_values
from gscodec.image.load import load_image
from gscodec.metrics import log_psnr

SPAN = (0.8, 1.25)
LEVELS = (0.5, 10_000.0)

Values = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Described:
    """What a round trip must keep of a part."""

    types: dict[str, str]
    windows: list[list[int]]
    chromaticities: list[float]
    aspect: float


@contextlib.contextmanager
def quiet() -> Any:
    """OpenEXR prints what it finds wrong."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def described(path: Path, part: int = 0) -> Described:
    """Description of a file as read by OpenEXR itself, not by this package."""
    with quiet():
        found = OpenEXR.File(str(path), separate_channels=True).parts[part]
    header = found.header
    windows = [np.ravel(header[key]).tolist() for key in ("dataWindow", "displayWindow")]
    primaries = np.ravel(np.asarray(header.get("chromaticities", ()), np.float64)).tolist()
    types = {name: str(channel.pixels.dtype) for name, channel in found.channels.items()}
    return Described(types, windows, primaries, float(header.get("pixelAspectRatio", 1.0)))


def n_parts(path: Path) -> int:
    with quiet():
        return len(OpenEXR.File(str(path), header_only=True).parts)


def values_of(path: Path, **how: Any) -> Values:
    """Channels by name, subsampled ones enlarged."""
    stack = load_image(path, **how)
    values = to_values(stack.samples, stack.groups)
    return {channel["name"]: values[:, :, channel["place"]] for channel in stack.files[0].exr["channels"]}


def error_near(level: float, source: Values, decoded: Values) -> str:
    ratios = []
    for name, values in source.items():
        near = (values >= SPAN[0] * level) & (values <= SPAN[1] * level)
        ratios.append(np.abs(decoded[name][near] / values[near] - 1))
    found = np.concatenate(ratios)
    return f"{100 * np.median(found):.2f} % ({found.size})" if found.size else "-"


def round_trip(path: Path, part: int, bpp: float, folder: Path, nan: str) -> tuple[str, list[str]]:
    """Cells of a table's row, and what was not kept.

    Raises:
        GsCodecError: the file is refused.
    """
    igs, back = folder / "a.igs", folder / "a.exr"
    how: dict[str, Any] = {"part": str(part), "nan": nan}
    result = gscodec.encode(path, igs, bpp=bpp, preset="fast", overwrite=True, **how)
    code = gscodec_main(["decode", str(igs), str(back), "--overwrite"])
    if code:
        return "", [f"decode ended with code {code}"]
    before, after = described(path, part), described(back)
    lost = [
        f"{name}: {mine} instead of {theirs}"
        for name, theirs, mine in (
            ("channel names", sorted(before.types), sorted(after.types)),
            ("types", before.types, after.types),
            ("windows", before.windows, after.windows),
            ("pixel aspect", before.aspect, after.aspect),
        )
        if theirs != mine
    ]
    if not np.allclose(before.chromaticities, after.chromaticities, rtol=1e-6):
        lost.append(f"chromaticities: {after.chromaticities} instead of {before.chromaticities}")
    source, decoded = values_of(path, **how), values_of(back)
    stacked = (np.stack([channels[name] for name in source], axis=2) for channels in (source, decoded))
    near = " | ".join(error_near(level, source, decoded) for level in LEVELS)
    return f"{result.bpp:.3f} bpp, {len(result.data)} bytes | {log_psnr(*stacked):.1f} | {near}", lost


def rows_of(path: Path, name: str, bpp: float, folder: Path, lost: list[str]) -> list[str]:
    try:
        parts = n_parts(path)
    except Exception:
        parts = 1
    rows = []
    for part in range(parts):
        try:
            names = ", ".join(f"{key} {kind}" for key, kind in described(path, part).types.items())
        except Exception:
            names = "-"
        start = f"| {name}{f' part {part}' if parts > 1 else ''} | {parts} | {names} |"
        for nan in ("error", "hole"):
            try:
                cells, wrong = round_trip(path, part, bpp, folder, nan)
            except GsCodecError as refusal:
                text = str(refusal).replace(f"{path}: ", "")
                if "\n" in str(refusal) or not str(refusal).startswith(str(path)):
                    lost.append(f"{name}: its refusal is not one line that names it: {refusal}")
                rows.append(f"{start} refused: {text} | | | |")
                if "--nan" in text:
                    continue
                break
            lost += [f"{name}: {fact}" for fact in wrong]
            rows.append(f"{start} {'with --nan hole: ' if nan == 'hole' else ''}{cells} |")
            break
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bpp", type=float, default=0.5)
    parser.add_argument("--output", type=Path, help="Markdown; default: stdout")
    given = parser.parse_args()
    lost: list[str] = []
    rows: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(given.folder.rglob("*.exr")):
            name = path.relative_to(given.folder).as_posix()
            rows += rows_of(path, name, given.bpp, Path(folder), lost)
    holes = sum(" with --nan hole: " in row for row in rows)
    refused = sum(" refused: " in row for row in rows) - holes
    whole = len(rows) - refused - 2 * holes
    lines = [
        "# OpenEXR there and back",
        "",
        f"    python benchmarks/exr.py FOLDER --bpp {given.bpp:g}",
        "",
        f"Measured on: {machine()}, shared. Preset `fast`. {whole} parts encoded, {holes} with `--nan hole`, {refused} "
        "refused. "
        "Names, types, windows, pixel aspect and chromaticities, read by OpenEXR itself: "
        f"{'; '.join(lost) or 'all kept'}.",
        "",
        "Log PSNR is over all channels of a file; zeros that come back as a little light cost most of it. Errors are "
        "medians of |decoded / source - 1| over all samples of 0.4 to 0.625 and of 8,000 to 12,500, with how many "
        "there are.",
        "",
        "| file | parts | channels | result | log PSNR (dB) | error near 0.5 | near 10,000 |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    if given.output:
        given.output.write_text("\n".join(lines), encoding="utf-8")
    else:
        print("\n".join(lines))
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
