"""The vectors of shaders/vectors: buffers, points, and what a shader samples there."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SHADERS: Final = Path(__file__).parents[2] / "shaders"
PLACE: Final = SHADERS / "vectors"


@dataclass(frozen=True)
class ShaderVector:
    """A buffer of words, points, and the features expected there at every level."""

    entry: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the files."""
        return str(self.entry["name"])

    @property
    def words(self) -> npt.NDArray[np.uint32]:
        """The buffer, (n,)."""
        return np.fromfile(PLACE / f"{self.name}.words", "<u4")

    @property
    def points(self) -> npt.NDArray[np.float32]:
        """(M, 2) uv."""
        return self._numbers[: 2 * self.entry["points"]].reshape(-1, 2)

    @property
    def expected(self) -> npt.NDArray[np.float32]:
        """(levels, M, C) features."""
        return self._numbers[2 * self.entry["points"] :].reshape(
            self.entry["levels"], self.entry["points"], self.entry["channels"]
        )

    @property
    def _numbers(self) -> npt.NDArray[np.float32]:
        return np.fromfile(PLACE / f"{self.name}.bin", "<f4")


@cache
def shader_vectors() -> list[ShaderVector]:
    """All of them."""
    return [ShaderVector(entry) for entry in json.loads((PLACE / "index.json").read_text(encoding="utf-8"))]
