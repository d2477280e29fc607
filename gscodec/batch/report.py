"""Reports of a batch as JSON, CSV or HTML."""

import csv
import errno
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gscodec.batch.map_figures import shown_figures
from gscodec.batch.outcome import REPORTED, Outcome, Status, as_row
from gscodec.batch.thumbnails import maps_of
from gscodec.errors import InvalidArgument, file_access_error
from gscodec.io.atomic import write_atomic
from gscodec.io.text import csv_cell, html_text, json_text, shown
from gscodec.material.outputs import refuse_inputs

_KINDS: Final = (".json", ".csv", ".html")


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Totals: items by status, bytes, seconds."""
    counts = Counter(outcome.status for outcome in outcomes)
    return {
        "items": len(outcomes),
        "by_status": {status.value: counts[status] for status in Status if counts[status]},
        "bytes": sum(outcome.n_bytes for outcome in outcomes),
        "seconds": round(seconds, 3),
    }


def check_report(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a report path that cannot be written, before any item is processed.

    Args:
        inputs: files that the batch reads.

    Raises:
        InvalidArgument: its suffix is unknown, or it is one of the inputs.
        FileAccessError: it is a folder, or its folder is missing.
    """
    if path.suffix.lower() not in _KINDS:
        raise InvalidArgument(f"{path}: the suffix of a report must be one of {', '.join(_KINDS)}")
    if path.is_dir():
        raise file_access_error(f"{path}: is a folder; name a file in it", errno.EISDIR, path)
    if not path.exists() and not Path(os.path.realpath(path)).parent.is_dir():
        raise file_access_error(f"{path}: its folder does not exist; create it first", errno.ENOENT, path)
    refuse_inputs([path], inputs)


def write_report(path: Path, outcomes: Sequence[Outcome], seconds: float) -> None:
    """A JSON, CSV or HTML file, by its suffix; an old one is replaced.

    Raises:
        FileAccessError: it cannot be written.
    """
    check_report(path)
    kind = path.suffix.lower()
    if kind == ".html":
        text = _html(outcomes, seconds, path.absolute().parent)
    else:
        text = (_json if kind == ".json" else _csv)(outcomes, seconds)
    write_atomic(path, text.encode(), overwrite=True)


def as_json(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Dict with `summary` and `items`."""
    return summary(outcomes, seconds) | {"outcomes": [as_row(outcome) for outcome in outcomes]}


def _json(outcomes: Sequence[Outcome], seconds: float) -> str:
    return json_text(as_json(outcomes, seconds), indent=1) + "\n"


def _csv(outcomes: Sequence[Outcome], seconds: float) -> str:
    """CSV text; control characters are escaped, and cells that a spreadsheet would read as formulas are quoted."""
    del seconds
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(REPORTED), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in as_row(outcome).items()} for outcome in outcomes)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict):  # the figures of maps, as `albedo: 34.56 dB, normal: 38.10 dB, 1.20 deg`
        value = ", ".join(f"{name}: {shown_figures(each)}" for name, each in value.items())
    return csv_cell(shown(value)) if isinstance(value, str) else value


def _html(outcomes: Sequence[Outcome], seconds: float, folder: Path) -> str:
    """HTML page with a row for each item: thumbnails of its maps, a link to its file, and its figures.

    Args:
        folder: of the report, which links are relative to.
    """
    total = summary(outcomes, seconds)
    counts = ", ".join(f"{count} {status}" for status, count in total["by_status"].items())
    rows = "\n".join(
        f'<tr class="{o.status}"><td>{_link(o, folder)}<td>{_maps(o)}<td>{o.status}<td>{o.n_bytes}<td>{o.bpp:.4f}'
        f"<td>{'' if o.psnr is None else format(o.psnr, '.2f')}<td>{o.n_gaussians}<td>{o.seconds:.1f}"
        f"<td>{html_text(o.message)}"
        for o in outcomes
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>gscodec batch</title>
<style>body{{font:14px sans-serif;margin:2em}}td,th{{padding:.2em .8em;text-align:right;vertical-align:top}}
td:first-child,td:nth-child(2),td:last-child,th:first-child,th:nth-child(2),th:last-child{{text-align:left}}
figure{{display:inline-block;margin:0 .6em .4em 0;font-size:11px}}img{{display:block;background:#888}}
tr.failed{{background:#fdd}}tr.missed{{background:#ffd}}</style>
<h1>gscodec batch</h1><p>{total["items"]} items: {counts}; {total["bytes"]} bytes, {total["seconds"]:.1f} s</p>
<table><tr><th>item<th>maps<th>status<th>bytes<th>bpp<th>PSNR<th>Gaussians<th>seconds<th>message
{rows}
</table></html>
"""


def _link(outcome: Outcome, folder: Path) -> str:
    """Name of an item, with a link to its file if there is one."""
    name = html_text(outcome.name)
    if not outcome.output or not Path(outcome.output).is_file():
        return name
    try:
        target = os.path.relpath(os.path.realpath(outcome.output), os.path.realpath(folder))
    except ValueError:  # on another Windows drive
        target = os.path.realpath(outcome.output)
    return f'<a href="{html_text(quote(Path(target).as_posix()))}">{name}</a>'


def _maps(outcome: Outcome) -> str:
    """Thumbnails of an item's maps with name, role and size."""
    if not outcome.n_bytes or Path(outcome.output).suffix.lower() != ".igs":
        return ""
    figures = []
    for each in maps_of(Path(outcome.output)):
        text = f"{html_text(each.name)}<br>{each.role}, {each.width}x{each.height}, {each.n_channels} ch"
        known = outcome.map_figures or {}
        text += "".join(f"<br>{shown_figures(known[group])}" for group in each.groups if group in known)
        picture = f'<img src="{each.png}" alt="">' if each.png else ""
        figures.append(f"<figure>{picture}<figcaption>{text}</figcaption></figure>")
    return "".join(figures)
