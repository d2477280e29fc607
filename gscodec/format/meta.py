"""The META chunk: a JSON object about the encode. It never changes pixels."""

import json
import sys
from typing import Any, Final

from gscodec.errors import CorruptField
from gscodec.format.layout import ErrorClass
from gscodec.format.limits import MAX_META_BYTES, MAX_META_DEPTH
from gscodec.model.json_value import Json

_LARGEST: Final = sys.float_info.max


class _PlainJsonError(ValueError):
    """Validation error; its text is the predicate of the message."""


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise _PlainJsonError("has a key twice")
    return values


def _constant(text: str) -> None:
    raise _PlainJsonError(f"has the number {text}")


def _check(value: Json) -> None:
    """Refuse values that JSON cannot represent or other parsers cannot read; works without recursion."""
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, dict | list) and depth > MAX_META_DEPTH:
            raise _PlainJsonError(f"is nested more than {MAX_META_DEPTH} deep")
        if isinstance(item, dict):
            stack.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            stack.extend((part, depth + 1) for part in item)
        elif isinstance(item, int | float) and not -_LARGEST <= item <= _LARGEST:  # an integer is compared exactly
            raise _PlainJsonError("has a number beyond the range of binary64")
        elif isinstance(item, str):
            item.encode("utf-8")


def pack_meta(meta: dict[str, Json], where: str, error: ErrorClass) -> bytes:
    """Compact JSON of an object in UTF-8, keys in insertion order.

    Raises:
        GsCodecError: `error`, if the value is not JSON or exceeds the limits.
    """
    try:
        text = json.dumps(meta, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = text.encode("utf-8")
        _parse(data)
    except (TypeError, ValueError, RecursionError) as fault:  # a lone surrogate is a UnicodeEncodeError, a ValueError
        raise error(f"{where}: the metadata is not plain JSON: {fault}") from fault
    if len(data) > MAX_META_BYTES:
        raise error(f"{where}: the metadata takes {len(data)} bytes, the limit is {MAX_META_BYTES}")
    return data


def unpack_meta(data: bytes, name: str, chunk: str = "META") -> dict[str, Json]:
    """The object in a META chunk, or in another JSON chunk.

    Raises:
        CorruptField: not one JSON object in UTF-8, or not finite, or nested too deep, or with a key twice.
    """
    try:
        return _parse(data)
    except (ValueError, RecursionError) as fault:
        raise CorruptField(f"{name}: chunk {chunk} is not a JSON object as the format has them: {fault}") from fault


def _parse(data: bytes) -> dict[str, Json]:
    meta = json.loads(data.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant)
    if not isinstance(meta, dict):
        raise _PlainJsonError("is not an object")
    _check(meta)
    return meta
