"""Kind of a texture map by its file name: conventions of Poly Haven, ambientCG, Substance, glTF and game engines."""

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from gscodec.model.channels import NormalConvention, Role

_GL, _DX, _NONE = NormalConvention.GL, NormalConvention.DX, NormalConvention.NONE


@dataclass(frozen=True)
class MapName:
    """Parsed name of a texture file."""

    stem: str  # name of the material, lower case; empty for a name such as `albedo.png`
    kind: str  # canonical word for the map: `albedo`, `normal`, `orm` ...
    role: Role
    normal: NormalConvention = NormalConvention.NONE
    word: str = ""  # the word used in the name, lower case
    tag: str = ""  # kind, with the normal convention if the name has one; unique among the maps of a material
    variant: str = ""  # size, file type and colour space, which do not identify the material


_ROLES: Final = {
    Role.ALBEDO: "albedo basecolor basecolour diffuse diff color colour col bc",
    Role.NORMAL: "normal normals nor nrm norm nrml nmap n",
    Role.AO: "ao ambientocclusion occlusion occ",
    Role.ROUGHNESS: "roughness rough rgh",
    Role.METALNESS: "metalness metallic metal mtl",
    Role.HEIGHT: "height displacement disp bump parallax",
    Role.OPACITY: "opacity alpha transparency",
    Role.MASK: "mask matid uvmask",
    Role.EMISSIVE: "emissive emission emit glow",
    # Several scalar maps in one file, one channel each.
    Role.DATA: "orm arm rma mra rmo aorm mraoh occlusionroughnessmetallic aoroughnessmetallic metallicroughness "
    "roughnessmetallic metallicsmoothness specular spec glossiness gloss smoothness translucency sss thickness "
    "curvature cavity flow id",
}
_WORDS: Final = {
    form: (role, words.split()[0])
    for role, words in _ROLES.items()
    for word in words.split()
    for form in (word, *([f"{word}map"] if len(word) > 1 else []))  # `HeightMap`, `normal_map`
}
_MOST_WORDS: Final = 3
"""Maximum number of words that form a map's name, such as `OcclusionRoughnessMetallic`."""

_CONVENTIONS: Final = {"gl": _GL, "opengl": _GL, "ogl": _GL, "dx": _DX, "directx": _DX, "d3d": _DX}
_GLUED: Final = re.compile(rf"(normal|nor|nrm)({'|'.join(_CONVENTIONS)})")
_UDIM: Final = re.compile(r"1\d{3}")
_NOISE: Final = re.compile(
    r"\d{1,2}k|128|256|512|1024|2048|4096|8192|16384|\d{3,5}x\d{3,5}|\d{1,2}bit|jpe?g|png|exr|tiff?|srgb|linear|raw"
)
"""Sizes, file types and colour spaces, which do not identify the material."""

_NUMBER: Final = re.compile(r"v?\d{1,4}")
"""Number of a version, a variant or a frame."""

_NUMBERED: Final = re.compile(r"([a-z]{3,})(\d{1,2})")

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])")


def map_name(path: str | PurePath) -> MapName | None:
    """The map that a file name names, or None.

    The last words of the name decide, without its size and colour space: `rock_07_nor_gl_2k.png` is the normal map of
    `rock_07`. The number of a UDIM tile is part of the material's name: each tile is a stack. So is any other
    number behind the map's word: `rock_nor_02.png` and `rock_nor2.png` are the normal map of `rock_02` and `rock_2`.
    """
    words = _words(PurePath(path).stem)
    number = [words.pop()] if len(words) > 1 and _UDIM.fullmatch(words[-1]) else []
    variant = "_".join(word for word in words if _NOISE.fullmatch(word))
    words = [word for word in words if not _NOISE.fullmatch(word)]
    if not number and words:
        words, number = _without_number(words)
    glued = _GLUED.fullmatch(words[-1]) if words else None
    words[-1:] = glued.groups() if glued else words[-1:]
    convention = _CONVENTIONS[words.pop()] if len(words) > 1 and words[-1] in _CONVENTIONS else _NONE
    for count in range(min(_MOST_WORDS, len(words)), 0, -1):
        entry = _WORDS.get("".join(words[-count:]))
        if entry is None:
            continue
        role, usual = entry
        if role is not Role.NORMAL and convention is not _NONE:
            return None
        word = "".join(words[-count:])
        kind = usual if role is not Role.DATA else word.removesuffix("map")
        tag = f"{kind}_{convention}" if convention is not _NONE else kind
        if role is Role.NORMAL and convention is _NONE:
            convention = _GL
        return MapName("_".join(words[:-count] + number), kind, role, convention, word, tag, variant)
    return None


def _without_number(words: list[str]) -> tuple[list[str], list[str]]:
    """(words, number): the words without a number that is, or ends, the last word of a map's name; and that number."""
    if len(words) > 1 and _NUMBER.fullmatch(words[-1]):
        return words[:-1], words[-1:]
    numbered = _NUMBERED.fullmatch(words[-1])
    if numbered and (numbered[1] in _WORDS or _GLUED.fullmatch(numbered[1])):
        return [*words[:-1], numbered[1]], [numbered[2]]
    return words, []


def _words(text: str) -> list[str]:
    """Lower-case words of a name, split at separators and at camel case, as in `NormalGL` and `baseColor`."""
    for name in ("OpenGL", "DirectX"):
        text = text.replace(name, f"_{name.lower()}")
    return [word.lower() for part in re.split(r"[ _\-.]+", text) for word in _CAMEL.split(part) if word]
