"""Neural representations of one picture, the paper's baselines of Figure 3: networks fitted to it, with no file format.

What counts as a file is the network's parameters in 16 bits, and nothing else, as the paper counts them: no header, no
names, no sizes of layers. `encode` chooses the width so that they fit into the budget of bytes, fits them for a number
of steps that the codec's name says, and rounds them to half precision; `decode` makes the same network and reads them.
Off by default, for it takes minutes for a small picture on a CPU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from gscodec.errors import InvalidArgument
from gscodec.image.stack import ImageStack
from gscodec_bench.codecs.base import Codec, Picture

if TYPE_CHECKING:
    from gscodec_bench.neural_models import Field

STEPS: Final = 500
MODELS: Final = ("siren", "ffn", "wire", "reluf", "ingp")


@dataclass(frozen=True)
class Neural(Codec):
    """A network of a kind, fitted for a number of steps; a setting is a rate, in bits per pixel, of its parameters."""

    model: str
    steps: int = STEPS
    threads: int | None = None

    suffix = ".f16"

    @property
    def name(self) -> str:  # type: ignore[override]  # an attribute of the others
        """Model and training steps."""
        return f"neural:{self.model}:steps{self.steps}"

    def available(self) -> str | None:
        """See `Codec.available`."""
        return None  # torch is what gscodec itself fits with

    def version(self) -> str:
        """torch's version and the revision of the models."""
        import torch

        from gscodec_bench.neural_models import REVISION

        return f"torch {torch.__version__} models {REVISION}"

    def settings(self, rates: Sequence[float]) -> list[str]:
        """See `Codec.settings`."""
        return [f"{rate:g}" for rate in rates]

    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """Parameters of the fitted network, float16."""
        from gscodec_bench.neural_models import fit, largest_within, to_bytes

        height, width, channels = stack.samples.shape
        field = largest_within(self.model, int(float(setting) * height * width / 8), height, width, channels)
        fit(field, np.asarray(stack.samples, np.float32), self.steps, self.threads)
        return to_bytes(field)

    def decode(self, data: bytes, height: int, width: int) -> Picture:
        """See `Codec.decode`; three channels, the others are refused."""
        from gscodec_bench.neural_models import from_bytes, render

        field: Field = from_bytes(self.model, data, height, width, 3)
        return np.asarray(np.rint(np.clip(render(field, height, width), 0, 1) * 255), np.uint8)

    def refuses(self, stack: ImageStack) -> str | None:
        """Pictures that are not of three channels of 8 bits."""
        if stack.samples.shape[2] != 3:
            return f"{stack.samples.shape[2]} channels, the networks have 3"
        return super().refuses(stack)


def parse_neural(name: str, threads: int | None = None) -> Neural:
    """The codec of a name such as `neural:siren` or `neural:siren:steps2000`.

    Raises:
        InvalidArgument: there is no such model or option.
    """
    found = re.fullmatch(r"neural:(\w+?)(?::steps(\d+))?", name)
    if not found or found[1] not in MODELS:
        raise InvalidArgument(f"codec {name!r} is not known: use neural:{{{','.join(MODELS)}}}, with :stepsN after it")
    return Neural(found[1], int(found[2] or STEPS), threads)
