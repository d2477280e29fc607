"""How an item is encoded, and the key that says whether a file still is what it would be encoded to."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

import numpy as np

from gscodec.encoding.fingerprint import fingerprint
from gscodec.errors import InvalidArgument
from gscodec.format.layout import VERSION
from gscodec.image.stack import ImageStack
from gscodec.io.units import bytes_of
from gscodec.material.manifest import parse_normal, parse_role
from gscodec.material.maps import Overrides
from gscodec.material.weights import checked_weight
from gscodec.model.constants import DEFAULT_STRENGTH, MAX_LODS

TARGETS: Final = ("bpp", "bppc", "size", "gaussians", "psnr")
KEY_DIGITS: Final = 32
"""Hexadecimal digits of a key: 128 bits of SHA-256."""


@dataclass(frozen=True)
class Settings:
    """Everything that changes the bytes of a file, except the picture. At most one target is not None."""

    bpp: float | None = None
    bppc: float | None = None
    size: int | None = None
    gaussians: int | None = None
    psnr: float | None = None
    preset: str = "balanced"
    tune: str = "psnr"
    importance: str | None = None
    importance_strength: float = DEFAULT_STRENGTH
    profile: str | None = None
    record_bytes: int | None = None
    weights: tuple[tuple[str, float], ...] | None = None  # of maps, by name or role
    lods: int | None = None
    steps: int | None = None
    seed: int = 0
    part: str | None = None
    nan: str = "error"
    metadata: str = "all"
    role: str | None = None  # of a picture, in place of what its name and pixels say
    normal: str | None = None
    stack: bool = False  # several pictures are one stack, whatever their names

    @property
    def overrides(self) -> Overrides:
        """How the sources are taken."""
        return Overrides.parsed(self.role, self.normal, self.stack, "settings")

    @property
    def target(self) -> str | None:
        """Name of the target that is given."""
        return next((name for name in TARGETS if getattr(self, name) is not None), None)

    def changed(self, values: Mapping[str, Any], where: str) -> "Settings":
        """These settings with others on top; a target takes the place of another.

        Raises:
            InvalidArgument: a key that is no setting, a value of another type, or two targets.
        """
        known = {field.name: field.type for field in fields(self)}
        given = [name for name in TARGETS if name in values]
        if len(given) > 1:
            raise InvalidArgument(f"{where}: give one of {' and '.join(given)}")
        checked = {}
        for name, value in values.items():
            if name not in known:
                raise InvalidArgument(f"{where}: {name!r} is no setting; there are {', '.join(known)}")
            checked[name] = _checked(name, value, where)
        others: dict[str, Any] = dict.fromkeys(TARGETS if given else ())
        return replace(self, **(others | checked))

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `gscodec.encode`."""
        given = {name: value for name, value in asdict(self).items() if value is not None and name not in _OF_SOURCES}
        return given | ({"weights": dict(self.weights)} if self.weights else {})


_OF_SOURCES: Final = {"role", "normal", "stack"}
"""Settings that say how sources are read; an encode of samples has no use for them."""

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "bpp": (int, float),
    "bppc": (int, float),
    "psnr": (int, float),
    "importance_strength": (int, float),
    "size": (int,),
    "gaussians": (int,),
    "record_bytes": (int,),
    "weights": (dict,),
    "lods": (int,),
    "steps": (int,),
    "seed": (int,),
    "stack": (bool,),
}


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "bpp": (1e-6, 1e6),
    "bppc": (1e-6, 1e6),
    "psnr": (1e-6, 999),
    "importance_strength": (1, 1e6),
    "size": (1, 1e15),
    "gaussians": (1, 1e12),
    "record_bytes": (1, 1e6),
    "lods": (1, MAX_LODS),
    "steps": (1, 1e9),
    "seed": (0, 1e18),
}
"""Of numbers, so that nonsense is found before the work; the encoder's own ranges may be narrower."""

_CHOICES: Final = {
    "preset": ("paper", "fast", "balanced", "best"),
    "tune": ("psnr", "balanced", "ssim"),
    "profile": ("coded", "packed", "f16", "small"),
    "nan": ("error", "zero", "hole"),
    "metadata": ("all", "none"),
}


def _checked(name: str, value: Any, where: str) -> Any:
    wanted = _TYPES.get(name, (str,))
    if name == "size" and isinstance(value, str):
        try:
            return bytes_of(value)
        except ValueError as fault:
            raise InvalidArgument(f"{where}: size {fault}") from fault
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        kinds = {str: "a text", dict: "a table of numbers", bool: "true or false"}
        kind = kinds.get(wanted[0], "a number")
        raise InvalidArgument(f"{where}: {name} {value!r} is not {kind}")
    if name in {"role", "normal"}:
        (parse_role if name == "role" else parse_normal)(str(value), where)
    if isinstance(value, dict):
        return tuple((map_name, checked_weight(weight, f"{where}: {map_name}")) for map_name, weight in value.items())
    if name == "importance" and value != "auto":
        raise InvalidArgument(f"{where}: importance {value!r}: a batch finds out itself what is important, with auto")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise InvalidArgument(f"{where}: {name} {value!r} is not one of {', '.join(_CHOICES[name])}")
    if isinstance(value, int | float) and name in _RANGES:
        low, high = _RANGES[name]
        if not low <= value <= high:
            raise InvalidArgument(f"{where}: {name} {value:.6g} is not {low:g} to {high:g}")
        return float(value) if wanted == (int, float) else value
    return value


def key_of(stack: ImageStack, settings: Settings) -> str:
    """What a file is known by: decoded samples and what they are, settings, format and encoder; no path, no time.

    The bare name of the source counts where the file records it.
    """
    from gscodec.encoding.packing import recorded_name

    digest = hashlib.sha256()
    head = {
        "settings": asdict(settings),
        "format": list(VERSION),
        "encoder": fingerprint(),
        "shape": list(stack.samples.shape),
        "groups": [asdict(group) for group in stack.groups],
        "source": recorded_name(stack, None),
        "files": [asdict(entry) for entry in stack.files],
        "metadata": hashlib.sha256(repr(stack.metadata).encode()).hexdigest(),
        "icc": hashlib.sha256(stack.icc or b"").hexdigest(),
    }
    head["weights"] = list(stack.weights)
    if stack.visible is not None:
        head["visible"] = hashlib.sha256(np.packbits(stack.visible).tobytes()).hexdigest()
    digest.update(json.dumps(head, sort_keys=True, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))
    digest.update(np.ascontiguousarray(stack.samples).tobytes())
    return digest.hexdigest()[:KEY_DIGITS]
