"""Reports of a batch as JSON, CSV or HTML."""

import csv
import errno
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from gscodec.batch.outcome import REPORTED, Outcome, Status, as_row
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
    build = {".json": _json, ".csv": _csv, ".html": _html}[path.suffix.lower()]
    write_atomic(path, build(outcomes, seconds).encode(), overwrite=True)


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
    return csv_cell(shown(value)) if isinstance(value, str) else value


def _html(outcomes: Sequence[Outcome], seconds: float) -> str:
    total = summary(outcomes, seconds)
    counts = ", ".join(f"{count} {status}" for status, count in total["by_status"].items())
    rows = "\n".join(
        f'<tr class="{o.status}"><td>{html_text(o.name)}<td>{o.status}<td>{o.n_bytes}<td>{o.bpp:.4f}'
        f"<td>{'' if o.psnr is None else format(o.psnr, '.2f')}<td>{o.n_gaussians}<td>{o.seconds:.1f}"
        f"<td>{html_text(o.message)}"
        for o in outcomes
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>gscodec batch</title>
<style>body{{font:14px sans-serif;margin:2em}}td,th{{padding:.2em .8em;text-align:right}}td:first-child,td:last-child,
th:first-child,th:last-child{{text-align:left}}tr.failed{{background:#fdd}}tr.missed{{background:#ffd}}</style>
<h1>gscodec batch</h1><p>{total["items"]} items: {counts}; {total["bytes"]} bytes, {total["seconds"]:.1f} s</p>
<table><tr><th>item<th>status<th>bytes<th>bpp<th>PSNR<th>Gaussians<th>seconds<th>message
{rows}
</table></html>
"""
