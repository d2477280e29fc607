"""JSON values."""

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A JSON value: dict with text keys, list, str, int, finite float, bool or None."""
