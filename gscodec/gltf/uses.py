"""What the materials of a model use its textures for, which decides how these are encoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from gscodec.errors import BadFile
from gscodec.gltf.model import Item, Model

Kind = Literal["color", "normal", "data"]
Alpha = Literal["unused", "straight", "data"]


@dataclass(frozen=True)
class Use:
    """How a texture is encoded."""

    kind: Kind  # color: sRGB; normal: vectors with green up; data: linear channels, each for itself
    alpha: Alpha  # whether the alpha channel is left out, the coverage of the colour, or a channel like others


_COVERAGE: Final = "coverage"
"""Alpha of a base colour: unused in materials that are opaque."""

_KNOWN: Final[dict[str, dict[str, tuple[Kind, str]]]] = {
    "": {
        "normalTexture": ("normal", "unused"),
        "occlusionTexture": ("data", "unused"),
        "emissiveTexture": ("color", "unused"),
    },
    "pbrMetallicRoughness": {
        "baseColorTexture": ("color", _COVERAGE),
        "metallicRoughnessTexture": ("data", "unused"),
    },
    "KHR_materials_anisotropy": {"anisotropyTexture": ("data", "unused")},
    "KHR_materials_clearcoat": {
        "clearcoatTexture": ("data", "unused"),
        "clearcoatRoughnessTexture": ("data", "unused"),
        "clearcoatNormalTexture": ("normal", "unused"),
    },
    "KHR_materials_diffuse_transmission": {
        "diffuseTransmissionTexture": ("data", "data"),
        "diffuseTransmissionColorTexture": ("color", "unused"),
    },
    "KHR_materials_iridescence": {
        "iridescenceTexture": ("data", "unused"),
        "iridescenceThicknessTexture": ("data", "unused"),
    },
    "KHR_materials_pbrSpecularGlossiness": {
        "diffuseTexture": ("color", _COVERAGE),
        "specularGlossinessTexture": ("data", "data"),
    },
    "KHR_materials_sheen": {"sheenColorTexture": ("color", "unused"), "sheenRoughnessTexture": ("data", "data")},
    "KHR_materials_specular": {"specularTexture": ("data", "data"), "specularColorTexture": ("color", "unused")},
    "KHR_materials_transmission": {"transmissionTexture": ("data", "unused")},
    "KHR_materials_volume": {"thicknessTexture": ("data", "unused")},
}
"""By the part of a material, an extension among them, and the name of the texture there."""


def texture_uses(model: Model) -> dict[int, Use | None]:
    """Use of each texture that materials refer to, by its number; None where a use is not known.

    Raises:
        BadFile: a material is malformed or refers to a texture that is not there.
    """
    uses: dict[int, set[Use | None]] = {}
    for number, material in enumerate(model.items("materials")):
        where = f"material {number}"
        is_opaque = material.get("alphaMode", "OPAQUE") == "OPAQUE"
        for part, name, texture in _textures(model, material, where):
            known = _KNOWN.get(part, {}).get(name)
            index = texture.get("index")
            if known is None:
                if isinstance(index, int) and not isinstance(index, bool):
                    uses.setdefault(index, set()).add(None)
                continue
            model.item("textures", index, f"{name} of {where}")
            kind, alpha = known
            alpha = alpha if alpha != _COVERAGE else ("unused" if is_opaque else "straight")
            uses.setdefault(index, set()).add(Use(kind, alpha))  # type: ignore[arg-type]  # both are checked literals
    return {number: _together(several) for number, several in uses.items()}


def _textures(model: Model, material: Item, where: str) -> Iterator[tuple[str, str, Item]]:
    """Part, name and reference of all textures of a material."""
    parts = {"": material, "pbrMetallicRoughness": material.get("pbrMetallicRoughness", {})}
    parts |= model.extensions(material, where)
    for part, content in parts.items():
        if not isinstance(content, dict):
            raise BadFile(f"{model.path}: {part} of {where} is not an object")
        for name, value in content.items():
            if name in _KNOWN.get(part, {}) and not isinstance(value, dict):
                raise BadFile(f"{model.path}: {name} of {where} is not an object")
            if isinstance(value, dict) and "texture" in name.lower():
                yield part, name, value


def _together(uses: set[Use | None]) -> Use | None:
    """The use of a texture that serves all of these."""
    known = {use for use in uses if use is not None}
    if len(known) < len(uses):
        return None
    kinds, alphas = {use.kind for use in known}, {use.alpha for use in known}
    if len(kinds) == 1 and len(alphas) == 1:
        return next(iter(known))
    alpha: Alpha = "unused" if alphas == {"unused"} else "data"
    if len(kinds) == 1 and alpha == "unused":
        return Use(next(iter(kinds)), alpha)
    return Use("data", alpha)
