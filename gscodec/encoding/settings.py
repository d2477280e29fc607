"""All settings that decide the bytes of a file, apart from picture and engine: one frozen, validated object.

The Python API, the command line, batch rules, manifests and the encoder share `EncodeSettings`.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import Final, TypedDict

from gscodec.encoding.fingerprint import fingerprint
from gscodec.encoding.profile_choice import default_profile
from gscodec.encoding.quality import DEFAULT_QUALITY, MAX_QUALITY
from gscodec.errors import InvalidArgument
from gscodec.fit.presets import Preset, get_preset
from gscodec.format.profile_table import LAYOUTS, PROFILE_NAMES, layout_named
from gscodec.io.units import bytes_of
from gscodec.material.maps import Overrides
from gscodec.material.weights import checked_weight
from gscodec.model.choices import (
    METADATA_POLICIES,
    NAN_POLICIES,
    PRESET_NAMES,
    TUNE_NAMES,
)
from gscodec.model.constants import DEFAULT_LODS, DEFAULT_STRENGTH, MAX_HALVES, MAX_LODS

TARGETS: Final = ("bpp", "bppc", "size", "gaussians", "psnr", "quality")
"""Names of the target settings; an encode has at most one of them, none is DEFAULT_QUALITY."""

FINGERPRINT_DIGITS: Final = 32
"""Hexadecimal digits of a fingerprint: 128 bits of SHA-256."""


class EncodeOptions(TypedDict, total=False):
    """The fields of `EncodeSettings` as keyword arguments, except `importance`, which may be an array there."""

    bpp: float | None
    bppc: float | None
    size: int | None
    gaussians: int | None
    psnr: float | None
    quality: float | None
    preset: str
    tune: str | None
    importance_strength: float
    profile: str | None
    record_bytes: int | None
    weights: Mapping[str, float] | tuple[tuple[str, float], ...] | None
    lods: int | None
    halves: int
    steps: int | None
    seed: int
    block: int | None
    time_budget: float | None
    part: str | None
    nan: str
    metadata: str
    role: str | None
    normal: str | None
    as_stack: bool
    grain: bool


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """Settings of an encode. At most one of the six targets is not None.

    Attributes:
        bpp: target bits of the whole file per pixel. Never exceeded; the file has at least 95 % of it.
        bppc: target bits of the whole file per pixel and channel, with the same bounds.
        size: target size of the file in bytes, with the same bounds.
        gaussians: target number of Gaussians.
        psnr: target PSNR of the decoded file, dB.
        quality: 0, tiny, to 100, nearly every pixel: bytes are spent as long as each lowers the error by a fixed
            amount, the same for all pictures (`encoding.quality`). The target if there is no other, at DEFAULT_QUALITY.
        preset: `fast`, `balanced`, `best`, or `paper`, the published method.
        tune: what errors count: `visual`, how well they are seen; or `psnr`, the same everywhere. None means `psnr` for
            a target PSNR and for preset `paper`, whose published loss takes no other, and `visual` otherwise. Pictures
            of floating-point light, and stacks with maps that are not looked at, such as normals, have no weights.
        importance: path of a map of the picture's size (white: important, black: unimportant), or `auto` for the
            picture's own saliency. Not for pictures encoded in blocks.
        importance_strength: ratio of the error weights at map values 1 and 0.
        profile: `coded`, entropy-coded records; `packed`, quantised fixed-size records that a shader can read in place;
            `f16`, 16-bit records that can be memory-mapped; or `small`, files of at most 4096 bytes without tables and
            levels of detail. None means `f16` for preset `paper`, `small` for files of up to 2048 bytes, and `coded`
            otherwise.
        record_bytes: bytes per record of profile `packed`; None means 6 for RGB, and about 5 bits more or less per
            additional or missing channel.
        weights: weight of each map's errors relative to the others, 0.01 to 100, by map name or role. Stored as pairs.
        lods: number of levels of detail, 1 for none: the whole, `halves`, and coarser sets. The first of these has a
            sixty-fourth of the bytes, each next one a quarter of the bytes of the one before; they are made of the
            picture at an eighth of its sides, a sixteenth, and so on. None means as many as it takes for the coarsest
            to have at most 1024 bytes, and four at least, but in files of less than 8 KiB two, and in those of up to
            2048 bytes, as in preset `paper`, one. Small files have smaller ratios.
        halves: levels nested in the finest set: half of its Gaussians, a quarter, and so on. A half costs the whole
            about 0.2 dB, and is coarser than a file of its bytes. Not in profile `small`.
        steps: number of optimisation steps, replacing the preset's.
        seed: seed of the random placement; the same settings on the same engine give the same bytes.
        block: side of the blocks in which the picture is encoded on the CPU, in px, a multiple of 64. None means a
            single block up to LARGE_PIXELS, and a side chosen by the rate beyond; on an explicitly selected GPU, a
            single block of any size that fits into its memory.
        time_budget: approximate total time in seconds; the number of steps is reduced to fit, so the result depends on
            the machine. Not with `psnr`.
        part: part of a multi-part OpenEXR file, by name or number.
        nan: handling of NaN and infinite samples: `error`, `zero`, or `hole`, which fills them from neighbouring
            pixels.
        metadata: metadata of the source to keep: `all` keeps pixel density, Exif, XMP, PNG texts and OpenEXR attributes
            up to 5 % of a byte budget, `none` drops them. Colour tags and ICC profiles are always kept.
        role: role of a single picture, such as `normal`, replacing what its name and pixels suggest.
        normal: direction of green in a single normal map: `gl` or `dx`.
        as_stack: encode several pictures as one file, whatever their names; otherwise the names must be those of the
            maps of one material.
        grain: look for film grain and sensor noise, and describe what the file lacks of it in 40 bytes, so
            that decoders add noise like it. Colour of integer samples only; not in profile `small`.

    Raises:
        InvalidArgument: a value of another type or out of range, or several targets.
    """

    bpp: float | None = None
    bppc: float | None = None
    size: int | None = None
    gaussians: int | None = None
    psnr: float | None = None
    quality: float | None = None
    preset: str = "balanced"
    tune: str | None = None
    importance: str | None = None
    importance_strength: float = DEFAULT_STRENGTH
    profile: str | None = None
    record_bytes: int | None = None
    weights: Mapping[str, float] | tuple[tuple[str, float], ...] | None = None
    lods: int | None = None
    halves: int = 0
    steps: int | None = None
    seed: int = 0
    block: int | None = None
    time_budget: float | None = None
    part: str | None = None
    nan: str = "error"
    metadata: str = "all"
    role: str | None = None
    normal: str | None = None
    as_stack: bool = False
    grain: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                object.__setattr__(self, field.name, _CHECKS[field.name](field.name, value))
        targets = [name for name in TARGETS if getattr(self, name) is not None]
        if len(targets) > 1:
            raise InvalidArgument(f"give at most one of {', '.join(TARGETS)}, not {' and '.join(targets)}")
        _ = self.overrides  # raises for unknown roles and conventions

    @property
    def target(self) -> str:
        """Name of the target: the one that is set, or `quality`."""
        return next((name for name in TARGETS if getattr(self, name) is not None), "quality")

    @property
    def target_value(self) -> float:
        """Value of the target."""
        quality = self.chosen_quality
        return float(getattr(self, self.target)) if quality is None else quality

    @property
    def chosen_quality(self) -> float | None:
        """The quality, or its default; None if there is another target."""
        if self.target != "quality":
            return None
        return DEFAULT_QUALITY if self.quality is None else self.quality

    @property
    def recipe(self) -> Preset:
        """All constants of the fit."""
        return get_preset(self.preset)

    @property
    def chosen_profile(self) -> str:
        """The profile, or its default."""
        return self.profile or default_profile(self.preset)

    @property
    def chosen_lods(self) -> int:
        """The number of levels of detail, or its default."""
        if self.lods is not None:
            return self.lods
        return min(DEFAULT_LODS if self.recipe.joint_lods else 1, layout_named(self.chosen_profile).max_lods)

    @property
    def chosen_tune(self) -> str:
        """What errors count, or its default."""
        return self.tune or ("psnr" if self.preset == "paper" or self.psnr is not None else "visual")

    @property
    def overrides(self) -> Overrides:
        """Overrides of the interpretation of the sources."""
        return Overrides.parsed(self.role, self.normal, self.as_stack, "settings")

    @property
    def map_weights(self) -> dict[str, float]:
        """Weights of maps by name; may be empty."""
        return dict(self.weights or ())

    def for_samples(self) -> "EncodeSettings":
        """A copy without the settings that concern reading, for samples that are in memory."""
        return replace(self, role=None, normal=None, as_stack=False)

    def changed(self, values: Mapping[str, object], where: str = "") -> "EncodeSettings":
        """A copy with other values; a new target replaces the present one.

        Args:
            values: by field name; `size` may be a text such as `40k`.
            where: origin of the values, for error messages; may be empty.

        Raises:
            InvalidArgument: an unknown key, an invalid value, or several targets.
        """
        try:
            unknown = [name for name in values if name not in _CHECKS]
            if unknown:
                raise InvalidArgument(f"{unknown[0]!r} is not a setting; there are {', '.join(_CHECKS)}")
            targets = [name for name in TARGETS if values.get(name) is not None]
            if len(targets) > 1:
                raise InvalidArgument(f"give at most one of {', '.join(TARGETS)}, not {' and '.join(targets)}")
            others: dict[str, object] = dict.fromkeys(TARGETS if targets else ())
            return replace(self, **(others | dict(values)))  # type: ignore[arg-type]  # `_CHECKS` has their types
        except InvalidArgument as fault:
            if not where:
                raise
            raise InvalidArgument(f"{where}: {fault}") from fault

    def check_together(self) -> None:
        """Check combinations of settings. Layers of rules may pass through invalid ones; an encode may not.

        Raises:
            InvalidArgument: settings that exclude each other.
        """
        if self.preset == "paper" and self.chosen_tune != "psnr":
            raise InvalidArgument(f"preset paper uses the published loss; tune {self.tune} needs another preset")
        layout = layout_named(self.chosen_profile)
        if self.lods is not None and self.halves >= self.lods:
            fact = f"{self.halves} of {self.lods} levels of detail cannot be halves"
            raise InvalidArgument(f"{fact}: the whole is a level, too")
        if layout.is_one_piece and ((self.lods or 1) > 1 or self.halves or self.block is not None):
            raise InvalidArgument(f"profile {layout.name} has a single level of detail and cannot encode in blocks")
        if self.record_bytes is not None and not layout.has_record_bytes:
            able = " and ".join(other.name for other in LAYOUTS.values() if other.has_record_bytes)
            raise InvalidArgument(f"records of {self.record_bytes} bytes need profile {able}, not {layout.name}")
        if self.time_budget is not None and self.psnr is not None:
            raise InvalidArgument(
                "a time budget and a PSNR target exclude each other: the target takes several encodes"
            )

    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any setting, the encoder's code, or the format version."""
        text = json.dumps([asdict(self), fingerprint()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:FINGERPRINT_DIGITS]


_Check = Callable[[str, object], object]


def _number(low: float = 0.0, high: float = math.inf) -> _Check:
    """Check for a finite number above 0, within bounds."""

    def check(name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise InvalidArgument(f"{name} {value!r} is not a number")
        number = float(value)
        if not (math.isfinite(number) and number > 0):
            raise InvalidArgument(f"{name} {value} is not a positive number")
        if not low <= number <= high:
            raise InvalidArgument(f"{name} {value} is not {low:g} to {high:g}")
        return number

    return check


def _whole(low: int, high: int | None = None) -> Callable[[str, object], int]:
    def check(name: str, value: object) -> int:
        bounds = f"of at least {low}" if high is None else f"{low}..{high}"
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise InvalidArgument(f"{name} {value!r} is not a whole number {bounds}")
        number = int(value)
        if number < low or (high is not None and number > high):
            raise InvalidArgument(f"{name} {number} is not a whole number {bounds}")
        return number

    return check


def _quality(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= MAX_QUALITY:
        raise InvalidArgument(f"{name} {value!r} is not a number 0..{MAX_QUALITY:g}")
    return float(value)


def _choice(names: tuple[str, ...]) -> _Check:
    def check(name: str, value: object) -> str:
        if value not in names:
            raise InvalidArgument(f"{name} {value!r} is not known: use {', '.join(names)}")
        return str(value)

    return check


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} {value!r} is not a text")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} {value!r} is not true or false")
    return value


def _bytes(name: str, value: object) -> int:
    if not isinstance(value, str):
        return _whole(1)(name, value)
    try:
        return bytes_of(value)
    except ValueError as fault:
        raise InvalidArgument(f"{name} {fault}") from fault


def _weights(name: str, value: object) -> tuple[tuple[str, float], ...]:
    pairs = tuple(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise InvalidArgument(f"{name} {value!r} is not a table of numbers")
    return tuple((str(which), checked_weight(weight, str(which))) for which, weight in pairs)


_CHECKS: Final[Mapping[str, _Check]] = {
    "bpp": _number(),
    "bppc": _number(),
    "size": _bytes,
    "gaussians": _whole(1),
    "psnr": _number(),
    "quality": _quality,
    "preset": _choice(PRESET_NAMES),
    "tune": _choice(TUNE_NAMES),
    "importance": _text,
    "importance_strength": _number(),
    "profile": _choice(PROFILE_NAMES),
    "record_bytes": _whole(1),
    "weights": _weights,
    "lods": _whole(1, MAX_LODS),
    "halves": _whole(0, MAX_HALVES),
    "steps": _whole(1),
    "seed": _whole(0),
    "block": _whole(1),
    "time_budget": _number(),
    "part": _text,
    "nan": _choice(NAN_POLICIES),
    "metadata": _choice(METADATA_POLICIES),
    "role": _text,
    "normal": _text,
    "as_stack": _flag,
    "grain": _flag,
}
"""Check of each setting: a function of name and value that returns the normalised value or raises InvalidArgument."""
