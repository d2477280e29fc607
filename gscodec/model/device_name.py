"""Names of devices as users write them, read in one place."""

import re
from dataclasses import dataclass, replace
from typing import Final

from gscodec.errors import InvalidArgument

_NAME: Final = re.compile(r"(auto|cuda)(?::(\d{1,4}))?|cpu|reference")


@dataclass(frozen=True)
class DeviceName:
    """`auto`, `auto:N`, `cpu`, `cuda`, `cuda:N` or `reference`."""

    kind: str
    """`auto`, `cpu`, `cuda` or `reference`."""

    index: int | None = None
    """Of a GPU, as the driver counts those that this process sees; None where the name leaves it open."""

    @staticmethod
    def parse(text: str) -> "DeviceName":
        """The device that a text names.

        Raises:
            InvalidArgument: it names none.
        """
        found = _NAME.fullmatch(text)
        if not found:
            raise InvalidArgument(f"device {text!r} is not known: use auto, cpu, cuda, cuda:N or reference")
        return DeviceName(found[1] or text, None if found[2] is None else int(found[2]))

    @property
    def may_fall_back(self) -> bool:
        """Whether the CPU takes over where the GPU cannot be used."""
        return self.kind == "auto"

    @property
    def may_be_gpu(self) -> bool:
        """Whether it may stand for a GPU."""
        return self.kind in {"auto", "cuda"}

    @property
    def gpu(self) -> str:
        """Name of the GPU that it stands for, of a device that may be one: the first, where it leaves that open."""
        return f"cuda:{self.index or 0}"

    def on(self, index: int) -> "DeviceName":
        """The same on one GPU."""
        return replace(self, index=index)

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"
