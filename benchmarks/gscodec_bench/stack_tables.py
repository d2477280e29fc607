"""Tables of texture stacks: every map by itself, and what one geometry for all maps is worth."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Final

from gscodec_bench.curves import Curve, curves_of
from gscodec_bench.table import Row, number
from gscodec_bench.tables import codecs_of, markdown_table

ALONE: Final = ":maps"
"""What the name of a codec that gives every map a file of its own ends in."""

_PREFIX: Final = "psnr of "


def stack_sections(rows: Sequence[Row], rates: Sequence[float]) -> list[str]:
    """Lines of Markdown for both."""
    wide = [with_map_columns(row) for row in rows]
    return _shared_geometry(wide) + _by_stack(wide, rates)


def with_map_columns(row: Row) -> Row:
    """A row with a column for the PSNR of each map, and one for their mean; infinite ones are left out."""
    found = dict(part.split("=", 1) for part in row["group_psnr"].split(";") if "=" in part)
    values = {_PREFIX + name: value for name, value in found.items() if value != "inf"}
    mean = f"{statistics.fmean(map(float, values.values())):.3f}" if len(values) == len(found) > 0 else ""
    return row | values | {_PREFIX + "mean": mean}


def maps_of(rows: Iterable[Row]) -> list[str]:
    """Names of the maps, in the order of their channels."""
    return list(dict.fromkeys(name.removeprefix(_PREFIX) for row in rows for name in row if name.startswith(_PREFIX)))


def _shared_geometry(rows: Sequence[Row]) -> list[str]:
    """One file against a file a map, at the bytes of the one file."""
    lines: list[str] = []
    names = [name for name in maps_of(rows) if name != "mean"]
    columns = ["psnr", _PREFIX + "mean", *(_PREFIX + name for name in names)]
    curves = {column: curves_of(rows, column, "bppc") for column in columns}
    curves["normal_deg"] = curves_of(rows, "normal_deg", "bppc", sign=-1)
    for codec in (name for name in codecs_of(rows) if name + ALONE in codecs_of(rows)):
        body, gains = [], []
        for row in (row for row in rows if row["codec"] == codec):
            gain = [_gain(row, column, curves[column].get((row["image"], codec + ALONE))) for column in columns]
            angle = _gain(row, "normal_deg", curves["normal_deg"].get((row["image"], codec + ALONE)), -1)
            if gain[0] is not None:
                body.append([row["image"], row["setting"], *map(_signed, [*gain, None if angle is None else -angle])])
                gains.append((row["setting"], gain[0], gain[1]))
        for setting in dict.fromkeys(setting for setting, *_ in gains):
            some = [gain for gain in gains if gain[0] == setting]
            means = [[value for value in column if value is not None] for column in list(zip(*some, strict=True))[1:]]
            cells = [_signed(statistics.fmean(values) if values else None) for values in means]
            body.append([f"mean of {len(some)}", setting, *cells, *["" for _ in names], ""])
        if body:
            head = ["stack", "bppc", "PSNR, all channels", "mean of maps", *names, "normals (degrees)"]
            lines += [f"`{codec}` less `{codec}{ALONE}`, in dB at equal bytes of all files:", ""]
            lines += [*markdown_table(head, body), ""]
    return ["## One geometry beside a file a map", "", *lines] if lines else []


def _by_stack(rows: Sequence[Row], rates: Sequence[float]) -> list[str]:
    """A table for each stack and rate: PSNR of all channels and of each map, SSIM, and the angle of normals."""
    names = [name for name in maps_of(rows) if name != "mean"]
    columns = ["psnr", *(_PREFIX + name for name in names), "ssim", "normal_deg"]
    curves = {
        column: curves_of(rows, column, "bppc", sign=-1.0 if column == "normal_deg" else 1.0) for column in columns
    }
    lines = ["## Map by map", "", "PSNR in dB, interpolated between files; a dash where a codec has no file near.", ""]
    for image in dict.fromkeys(row["image"] for row in rows):
        for rate in rates:
            body = []
            for codec in codecs_of(rows):
                found = [_at(curves[column].get((image, codec)), rate) for column in columns]
                if any(value is not None for value in found):
                    *levels, ssim, angle = found
                    cells = [_plain(value) for value in levels] + [_plain(ssim, 4), _plain(angle, 2, -1)]
                    body.append([codec, *cells])
            if body:
                head = ["codec", "all", *names, "SSIM", "normals (degrees)"]
                lines += [f"{image} at {rate:g} bppc:", "", *markdown_table(head, body), ""]
    return lines


def _gain(row: Row, column: str, other: Curve | None, sign: int = 1) -> float | None:
    here, there = number(row, column), _at(other, float(row["bppc"]))
    return None if here is None or there is None else sign * here - there


def _at(curve: Curve | None, rate: float) -> float | None:
    return None if curve is None else curve.at(rate)


def _plain(value: float | None, digits: int = 2, sign: int = 1) -> str:
    return "-" if value is None else f"{sign * value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f}"
