"""The package's version. pyproject.toml reads it here; nothing else states it."""

from typing import Final

__version__: Final = "0.1.0"
