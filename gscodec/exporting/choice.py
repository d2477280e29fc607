"""Chooses the format of a texture, by its role or by name."""

from dataclasses import replace

from gscodec.errors import InvalidArgument
from gscodec.exporting.formats import ASTC, FORMATS, TexelFormat
from gscodec.exporting.maps import Texture
from gscodec.image.normals import codes_of, points_away
from gscodec.model.channels import COLOURS, AlphaMode, Role, SampleType, has_srgb_codes


def choose(texture: Texture, wanted: str, bits: int | None) -> TexelFormat:
    """The format of a texture.

    Args:
        wanted: name of a format, or `auto`.
        bits: 8, 16 or 32 with `auto`; from 16 on, texels are not compressed.

    Raises:
        InvalidArgument: the format cannot store the texture's channels or values.
    """
    group, n_channels = texture.group, texture.samples.shape[2]
    is_float = group.sample_type is SampleType.FLOAT
    has_alpha = group.alpha is not AlphaMode.NONE
    is_scalar = n_channels == 1 and group.role not in COLOURS
    is_pair = n_channels == 2 and not has_alpha and group.role not in COLOURS
    # X and Y determine a normal in tangent space; float normals are no wider than integer ones.
    is_flat_normal = (
        group.role is Role.NORMAL
        and n_channels in {2, 3}
        and not has_alpha
        and points_away(codes_of(texture.samples, group), texture.meaning)
    )
    if wanted == "bc6h":
        if is_float and not has_alpha and n_channels in {1, 3} and group.role is not Role.NORMAL:
            return FORMATS["bc6h"]
        raise InvalidArgument(f"{texture.name}: bc6h is for float colour without alpha; use another format")
    if is_float and not (is_flat_normal and bits in {None, 8} and wanted in {"auto", "bc5", *ASTC}):
        if wanted != "auto" or bits == 8:
            name = wanted if wanted != "auto" else "8 bits"
            raise InvalidArgument(f"{texture.name}: has float samples, which {name} cannot store; use 16 or 32 bits")
        return FORMATS[f"{'r' if is_scalar else 'rgba'}{bits or 16}f"]
    if wanted in ASTC:
        return replace(FORMATS[wanted], holds=1 if is_scalar else 2 if is_pair or is_flat_normal else 4)
    if wanted != "auto":
        form = FORMATS[wanted]
        needed = 4 if has_alpha or n_channels == 4 else 2 if is_flat_normal and form.holds == 2 else n_channels
        if needed > form.holds:
            what = "an alpha" if has_alpha else f"{n_channels} channels"
            raise InvalidArgument(
                f"{texture.name}: has {what}, and {wanted} stores {form.holds}; use another format, or leave it out"
            )
        return form
    if bits == 32 or (bits == 16 and has_srgb_codes(group)):
        return FORMATS[f"{'r' if is_scalar else 'rgba'}{bits}f"]
    if bits == 16:
        return FORMATS["r16" if is_scalar else "rg16" if n_channels == 2 and not has_alpha else "rgba16"]
    if is_flat_normal:
        return FORMATS["bc5"]
    if is_scalar:
        return FORMATS["bc4"]
    return FORMATS["bc5" if is_pair else "bc7"]
