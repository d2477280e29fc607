"""gscodec itself, in every preset."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import gscodec
from gscodec.encoding.fingerprint import fingerprint
from gscodec.errors import InvalidArgument, TruncatedStream
from gscodec.image.stack import ImageStack
from gscodec.model.choices import TUNE_NAMES
from gscodec_bench.codecs.base import Codec, Layout, Picture

QUALITIES: Final = (20, 40, 60, 80)
"""Settings of a codec that encodes at qualities."""

PRESET_NAMES: Final = ("paper", "fast", "balanced", "best")


@dataclass(frozen=True)
class Igs(Codec):
    """gscodec with a preset; a setting is a rate, in bits per pixel, for stacks per pixel and channel.

    `gscodec:fast:quality` encodes at qualities instead, which settings such as `q60` name.

    The name says what differs from the preset: `gscodec:balanced`, `gscodec:balanced:lods1`,
    `gscodec:fast:steps200:seed3`, `gscodec:fast:psnr` with that tune. `gscodec:fast:maps` gives every map of a stack a
    file of its own, at the same rate per channel.
    """

    preset: str = "balanced"
    lods: int | None = None
    halves: int = 0
    steps: int | None = None
    seed: int = 0
    tune: str | None = None
    device: str = "auto"
    threads: int | None = None
    maps: bool = False
    quality: bool = False

    suffix = ".igs"

    @property
    def layout(self) -> Layout:  # type: ignore[override]  # an attribute of the others
        """See `Codec.layout`."""
        return Layout.MAPS if self.maps else Layout.STACK

    @property
    def name(self) -> str:  # type: ignore[override]  # an attribute of the others
        """See the class."""
        parts = [f"gscodec:{self.preset}"]
        parts += [f"lods{self.lods}"] if self.lods is not None else []
        parts += [f"halves{self.halves}"] if self.halves else []
        parts += [f"steps{self.steps}"] if self.steps is not None else []
        parts += [f"seed{self.seed}"] if self.seed else []
        parts += [self.tune] if self.tune else []
        parts += ["maps"] if self.maps else []
        parts += ["quality"] if self.quality else []
        return ":".join(parts)

    def available(self) -> str | None:
        """See `Codec.available`."""
        return None  # what is measured is this checkout

    def version(self) -> str:
        """The package's version, a fingerprint of the code that decides a file's bytes, and the engine."""
        return f"{gscodec.__version__}+{fingerprint()} {_engine(self.device)}"

    def settings(self, rates: Sequence[float]) -> list[str]:
        """The rates asked for, or the qualities that span them."""
        if self.quality:
            return [f"q{quality}" for quality in QUALITIES]
        return [f"{rate:g}" for rate in rates]

    def encode(self, stack: ImageStack, setting: str) -> bytes:
        """See `Codec.encode`."""
        if setting.startswith("q"):
            return gscodec.encode(stack, quality=float(setting[1:]), **self.options()).data
        by_channel = self.maps or len(stack.groups) > 1
        rate: dict[str, Any] = {"bppc" if by_channel else "bpp": float(setting)}
        return gscodec.encode(stack, **rate, **self.options()).data

    def prepare(self) -> None:
        """Import torch."""
        import gscodec.fit  # noqa: F401

    def options(self) -> dict[str, Any]:
        """What `gscodec.encode` takes beside a source and a target."""
        return {
            "preset": self.preset,
            "lods": self.lods,
            "halves": self.halves,
            "steps": self.steps,
            "seed": self.seed,
            "tune": self.tune,
            "device": self.device,
            "threads": self.threads,
            "metadata": "none",  # rivals keep none either
        }

    def decode(self, data: bytes, height: int, width: int) -> Picture:  # noqa: ARG002
        """See `Codec.decode`."""
        with gscodec.open(data, device=self.device, threads=self.threads, grain=False) as image:
            return image.render()

    def decode_partial(self, data: bytes, height: int, width: int) -> Picture | None:  # noqa: ARG002
        """See `Codec.decode_partial`: each tile at the finest level that has arrived."""
        try:
            with gscodec.open(data, device="cpu", threads=self.threads, grain=False) as image:
                return image.render(available=True)
        except TruncatedStream:
            return None

    def refuses(self, stack: ImageStack) -> str | None:  # noqa: ARG002
        """Nothing that a source can hold."""
        return None


def parse(name: str, device: str = "auto", threads: int | None = None) -> Igs:
    """The codec of a name such as `gscodec:balanced:lods1`.

    Raises:
        InvalidArgument: there is no such preset or option.
    """
    _, *parts = name.split(":")
    preset = parts[0] if parts else "balanced"
    if preset not in PRESET_NAMES:
        raise InvalidArgument(f"codec {name}: there is no preset {preset!r}: use {', '.join(PRESET_NAMES)}")
    options: dict[str, int] = {}
    maps, quality = "maps" in parts[1:], "quality" in parts[1:]
    tune = next((part for part in parts[1:] if part in TUNE_NAMES), None)
    for part in parts[1:]:
        if part in {"maps", "quality", *TUNE_NAMES}:
            continue
        found = re.fullmatch(r"(lods|halves|steps|seed)(\d+)", part)
        if not found:
            known = f"lodsN, halvesN, stepsN, seedN, maps, quality, {', '.join(TUNE_NAMES)}"
            raise InvalidArgument(f"codec {name}: {part!r} is not one of {known}")
        options[found[1]] = int(found[2])
    return Igs(preset, tune=tune, device=device, threads=threads, maps=maps, quality=quality, **options)


@cache
def _engine(device: str) -> str:
    """The engine that a device name means here: files of different engines differ."""
    from gscodec.render.engines import get_backend

    return get_backend(device).name
