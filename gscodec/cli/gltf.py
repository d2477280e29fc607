"""`gscodec gltf`: the textures of a glTF 2.0 model as `.igs` files, and back."""

from pathlib import Path
from typing import Annotated, Final

import typer

from gscodec.cli import _console
from gscodec.cli._config import drop_replaced_targets, from_config
from gscodec.cli._encoding import Device, Lods, Profile, Seed, Steps, Threads
from gscodec.cli._limits import MaxMemory, MaxPixels, limits_of
from gscodec.cli._values import human_bytes
from gscodec.encoding.quality import DEFAULT_QUALITY, MAX_QUALITY
from gscodec.errors import InvalidArgument
from gscodec.model.choices import PresetName

_TARGETS: Final = ("bpp", "quality")


def command(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="IN", help="The model, a .gltf or .glb file.")],
    output: Annotated[
        str,
        typer.Argument(metavar="OUT", help="The result: .glb holds its textures, beside .gltf they are files."),
    ],
    decode: Annotated[
        bool, typer.Option("--decode", help="The other way: textures as PNG, or as the fallbacks that were kept.")
    ] = False,
    no_fallback: Annotated[
        bool,
        typer.Option(
            "--no-fallback", help="Drop the PNG and JPEG files: smaller, and only for renderers that know .igs."
        ),
    ] = False,
    bpp: Annotated[
        float | None, typer.Option(metavar="BITS", help="Target bit rate of each texture, in bits per pixel.")
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_QUALITY,
            metavar="Q",
            help=f"0, tiny, to 100, nearly every pixel. The target if there is no other: {DEFAULT_QUALITY:g}.",
        ),
    ] = None,
    preset: Annotated[PresetName, typer.Option(help="Encoder effort.")] = "balanced",
    profile: Profile = None,
    lods: Lods = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
    max_pixels: MaxPixels = None,
    max_memory: MaxMemory = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist, but none that IN refers to.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no notes.")] = False,
) -> None:
    """Encode the textures of a glTF model to .igs files, and keep all else of it.

    Base and emissive colour are encoded as colour, normal maps as normals, packed occlusion, roughness and metalness as
    linear data; equal images once. The textures get the extension GSCODEC_texture_igs, a draft of this project, and
    keep their PNG or JPEG for other renderers. Prints one line per image.
    """
    stated = {"bpp": bpp, "quality": quality, "profile": profile, "lods": lods, "steps": steps}
    drop_replaced_targets(context, _TARGETS)
    named = {name: value for name, value in stated.items() if value is not None and context.params[name] is not None}
    if all(name in named for name in _TARGETS):
        raise InvalidArgument("give at most one of --bpp and --quality")
    if decode and (no_fallback or any(not from_config(context, name) for name in named)):
        raise InvalidArgument("--decode encodes nothing: --no-fallback, targets and settings of encodes have no use")
    from gscodec.encoding.settings import EncodeSettings
    from gscodec.gltf.convert import decode_model, encode_model
    from gscodec.gltf.pictures import Encoder

    settings = EncodeSettings(preset=preset, seed=seed or 0, **named)  # type: ignore[arg-type]
    note = (lambda _: None) if quiet else _console.say
    with _console.progress_bar(Path(source).name, quiet) as show:
        encoder = Encoder(settings, device, threads, limits_of(max_pixels, max_memory), show)
        if decode:
            converted = decode_model(source, output, encoder=encoder, overwrite=overwrite, note=note)
        else:
            converted = encode_model(
                source, output, encoder=encoder, fallback=not no_fallback, overwrite=overwrite, note=note
            )
    for one in converted.textures:
        change = f"{human_bytes(one.n_bytes_before)} to {human_bytes(one.n_bytes)}"
        _console.emit(f"{one.name}: {one.kind}, {one.width}x{one.height}, {change}")
    _console.emit(
        f"{converted.path}: images converted: {len(converted.textures)}, files written: {len(converted.files)}"
    )
