"""Names of devices, as users write them; `render/engines.py` parses them and opens their engines."""

from dataclasses import dataclass, replace
from typing import Final

AUTO: Final = "auto"
"""The device that stands for the best usable engine."""


@dataclass(frozen=True)
class DeviceName:
    """`auto`, `auto:N`, or the name of an engine, with `:N` if it runs on GPUs."""

    kind: str
    """`auto`, or name of an engine."""

    index: int | None = None
    """Index of the GPU among those visible to this process; None if the name has no index."""

    @property
    def may_fall_back(self) -> bool:
        """Whether the CPU is used if no GPU is usable."""
        return self.kind == AUTO

    def on(self, index: int) -> "DeviceName":
        """The same name with the index of one GPU."""
        return replace(self, index=index)

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"
