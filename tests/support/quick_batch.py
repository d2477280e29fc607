"""What the tests of batches share."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

Painter = Callable[..., Path]

QUICK: Final = {"gaussians": 20, "preset": "fast", "steps": 5, "lods": 1}
"""Settings of an encode that takes milliseconds."""
