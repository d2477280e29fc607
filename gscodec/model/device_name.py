"""Parsing of device names."""

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
    """Index of the GPU among those visible to this process; None if the name has no index."""

    @staticmethod
    def parse(text: str) -> "DeviceName":
        """Parsed device name.

        Raises:
            InvalidArgument: the text is not a device name.
        """
        found = _NAME.fullmatch(text)
        if not found:
            raise InvalidArgument(f"device {text!r} is not known: use auto, cpu, cuda, cuda:N or reference")
        return DeviceName(found[1] or text, None if found[2] is None else int(found[2]))

    @property
    def may_fall_back(self) -> bool:
        """Whether the CPU is used if no GPU is usable."""
        return self.kind == "auto"

    @property
    def may_be_gpu(self) -> bool:
        """Whether the name can refer to a GPU."""
        return self.kind in {"auto", "cuda"}

    @property
    def gpu(self) -> str:
        """Name of the GPU it refers to, `cuda:0` if it has no index; valid only if `may_be_gpu`."""
        return f"cuda:{self.index or 0}"

    def on(self, index: int) -> "DeviceName":
        """The same name with the index of one GPU."""
        return replace(self, index=index)

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"
