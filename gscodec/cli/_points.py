"""Reads points for `gscodec sample` from text, CSV or NPY, and writes their values to these formats or JSON."""

import codecs
import io
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._values import parse_point
from gscodec.errors import GsCodecError, InvalidArgument, LimitExceeded, file_access_error
from gscodec.io.streams import open_stdin, write_stdout

if TYPE_CHECKING:
    from gscodec.model.gaussians import Float32Array, Float64Array

Format = Literal["text", "csv", "json", "npy"]

_NPY: Final = b"\x93NUMPY"
_ROWS: Final = 1 << 16
_BLOCK: Final = 1 << 20

MAX_NPY_BYTES: Final = 1 << 32
MAX_TEXT_BYTES: Final = 1 << 28
"""Maximum size of a file of points: some 10^8 points, or 10^7 as text, whose lines take much more memory than their
bytes."""


def read_points(source: str) -> "Float64Array":
    """(M, 2) points from a file, or from stdin for `-`.

    NPY is recognised by its content. Text has one point per line, `x,y` or `x y`; empty lines, lines that begin with #
    and a first line without numbers (the header of a CSV file) are skipped.

    Raises:
        FileAccessError: the file cannot be read.
        InvalidArgument: an entry is not a point.
    """
    name = "stdin" if source == _console.STREAM else source
    try:
        with nullcontext(open_stdin()) if source == _console.STREAM else Path(source).open("rb") as file:
            data = _bounded(file, name)
    except GsCodecError:
        raise
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise file_access_error(f"{name}: cannot be read: {reason}", fault) from fault
    return _from_npy(data, name) if data.startswith(_NPY) else _from_text(data, name)


def _bounded(file: BinaryIO, name: str) -> bytes:
    """Contents of a file, of which a prefix is read first to reject files that are neither text nor NPY."""
    head = file.read(_BLOCK)
    is_npy = head.startswith(_NPY)
    if not is_npy:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError as fault:
            raise InvalidArgument(f"{name}: is neither text nor an NPY file") from fault
        if b"\0" in head:
            raise InvalidArgument(f"{name}: is neither text nor an NPY file")
    most, parts, n_bytes = MAX_NPY_BYTES if is_npy else MAX_TEXT_BYTES, [head], len(head)
    while part := file.read(_BLOCK):
        parts.append(part)
        n_bytes += len(part)
        if n_bytes > most:
            remedy = "" if is_npy else ", or use NPY, which takes less memory"
            raise LimitExceeded(f"{name}: is above the limit of {most} bytes of points; split it{remedy}")
    return b"".join(parts)


def _from_npy(data: bytes, name: str) -> "Float64Array":
    import numpy as np

    # The header is a Python literal, whose parser raises many kinds of exceptions; a shape may request any memory.
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as fault:
        reason = "its header is damaged" if isinstance(fault, SyntaxError | MemoryError | RecursionError) else fault
        raise InvalidArgument(f"{name}: is not an NPY file of points: {reason}") from fault
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "fiu":
        raise InvalidArgument(f"{name}: is {array.dtype} {array.shape}; points are numbers (M, 2)")
    points: Float64Array = array.astype(np.float64)
    return points


def _from_text(data: bytes, name: str) -> "Float64Array":
    import numpy as np

    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as fault:
        raise InvalidArgument(f"{name}: is neither text nor an NPY file") from fault
    first = next((at for at, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)
    if first is None:
        return np.zeros((0, 2))
    if not _is_point(lines[first]) and not any(character.isdigit() for character in lines[first]):
        first += 1
    try:
        commas = bool(lines[first:]) and "," in lines[first]
        points = np.loadtxt(lines[first:], delimiter="," if commas else None, ndmin=2) if lines[first:] else None
    except ValueError:
        points = _line_by_line(lines, first, name)
    if points is None or not points.size:
        return np.zeros((0, 2))
    if points.shape[1] != 2 or not np.isfinite(points).all():
        points = _line_by_line(lines, first, name)
    return points


def _is_point(line: str) -> bool:
    """Whether the line is a sequence of numbers, finite or not."""
    try:
        return bool([float(word) for word in line.replace(",", " ").split()])
    except ValueError:
        return False


def _line_by_line(lines: Sequence[str], first: int, name: str) -> "Float64Array":
    """The points of lines in mixed formats; the error names the first line that is not a point."""
    import numpy as np

    points = []
    for number, line in enumerate(lines[first:], start=first + 1):
        text = line.partition("#")[0]
        if text.strip():
            try:
                points.append(parse_point(text))
            except typer.BadParameter as error:
                raise InvalidArgument(f"{name}, line {number}: {error.message}") from None
    return np.array(points, np.float64).reshape(-1, 2)


def write_values(
    target: str, kind: Format, lod: int, channels: Sequence[str], points: "Float64Array", values: "Float32Array"
) -> None:
    """Write points and values to a file, or to stdout for `-`.

    Raises:
        FileAccessError: the file cannot be written.
        InvalidArgument: NPY would be written to a terminal.
    """
    if kind == "npy":
        import numpy as np

        data = io.BytesIO()
        np.save(data, values)
        _put(target, [data.getvalue()], binary=True)
    elif kind == "json":
        _put(target, _json(lod, channels, points, values), binary=False)
    else:
        head = [_csv_line(["x", "y", *channels])] if kind == "csv" else []
        mark, form = (",", "%.9g") if kind == "csv" else (" ", "%.6f")
        _put(target, [*head, *_rows(points, values, mark, form)], binary=False)


def _rows(points: "Float64Array", values: "Float32Array", mark: str, form: str) -> Iterator[bytes]:
    line = mark.join(["%.10g", "%.10g", *([form] * values.shape[1])]) + "\n"
    for first in range(0, len(points), _ROWS):
        part = slice(first, first + _ROWS)
        rows = zip(points[part].tolist(), values[part].tolist(), strict=True)
        yield "".join([line % (*point, *row) for point, row in rows]).encode()


def _json(lod: int, channels: Sequence[str], points: "Float64Array", values: "Float32Array") -> list[bytes]:
    from gscodec.io.text import json_text

    rows = [{"at": point, "values": row} for point, row in zip(points.tolist(), values.tolist(), strict=True)]
    result: dict[str, Any] = {"lod": lod, "channels": list(channels), "points": rows}
    return [json_text(result, indent=2).encode() + b"\n"]


def _csv_line(names: Sequence[str]) -> bytes:
    """The CSV header; channel names come from the file and may contain any characters."""
    import csv

    from gscodec.io.text import csv_cell

    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([csv_cell(name) for name in names])
    return line.getvalue().encode()


def _put(target: str, parts: Sequence[bytes], *, binary: bool) -> None:
    if target != _console.STREAM:
        from gscodec.io.atomic import write_atomic

        write_atomic(target, b"".join(parts), True)
        return
    if binary:
        _console.refuse_terminal()
    write_stdout(parts)
