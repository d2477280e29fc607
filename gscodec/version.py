"""The package's version; pyproject.toml has the same, and a test compares them."""

from typing import Final

__version__: Final = "0.1.0"
