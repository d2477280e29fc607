"""Options of an encode that `encode` and `batch` share; None leaves the setting at its default."""

from typing import Annotated, Literal

import typer

from gscodec.cli._values import parse_weights
from gscodec.format.profile_table import PROFILE_NAMES
from gscodec.model.choices import NanPolicy
from gscodec.model.constants import DEFAULT_LODS, MAX_HALVES, MAX_LODS, MAX_STRENGTH

ImportanceStrength = Annotated[
    float | None,
    typer.Option(
        min=1, max=MAX_STRENGTH, metavar="X", help="Weight of an error where MAP is white, relative to black."
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar=f"{{{','.join(PROFILE_NAMES)}}}",
        help="How Gaussians are stored: coded is entropy-coded; packed has fixed-size records that a shader reads "
        "in place; f16 has 16 bits per value; small is for files of up to 4096 bytes. Default: coded, but small "
        "for files of up to 2048 bytes, f16 for preset paper.",
    ),
]
RecordBytes = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Profile packed: bytes per record. Default: 6 for RGB.")
]
Lods = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_LODS,
        metavar="N",
        help="Number of levels of detail; 1 is none. All but the whole and --halves are sets of their own: the "
        "first has a sixty-fourth of the bytes and is made of the picture at an eighth of its sides, each next one "
        f"has a quarter of the bytes and half of the sides. Default: {DEFAULT_LODS}, more in files above 1 MiB, "
        "2 below 8 KiB, 1 up to 2 KiB and in preset paper.",
    ),
]
Halves = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=MAX_HALVES,
        metavar="N",
        help="Levels of detail between the whole and the others: each shows half of the Gaussians of the next "
        "finer one. A half costs the whole about 0.2 dB.",
    ),
]
Steps = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Number of optimisation steps. Default: the preset's.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="Device: auto, cpu, cuda or cuda:N.")]
Threads = Annotated[
    int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Seed of the random numbers.")]
Part = Annotated[str | None, typer.Option(metavar="NAME", help="Part of a multi-part OpenEXR file, by name or number.")]
Nan = Annotated[
    NanPolicy | None,
    typer.Option(help="NaN and infinite samples: error refuses them, zero replaces them by 0, hole fills them in."),
]
TimeBudget = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        metavar="SECONDS",
        help="Approximate limit on the encoding time: runs as many steps as fit. The result then depends on the "
        "machine.",
    ),
]
Block = Annotated[
    int | None,
    typer.Option(
        min=64,
        metavar="PX",
        help="Encode in blocks of this side, a multiple of 64. Default: one block up to 2^25 pixels, then "
        "chosen from the rate.",
    ),
]
Weights = Annotated[
    dict[str, float] | None,
    typer.Option(
        "--weights",
        parser=parse_weights,
        metavar="NAME=N,...",
        help="Weight of a map's errors relative to the other maps, by its name or role: normal=0.5,albedo=2.",
    ),
]
Strip = Annotated[
    bool,
    typer.Option(
        "--strip",
        help="Drop Exif, XMP, texts and pixel density: --metadata none. What says how colours are meant stays: ICC "
        "profile and colour tags.",
    ),
]
Role = Annotated[
    Literal[
        "color",
        "albedo",
        "normal",
        "ao",
        "roughness",
        "metalness",
        "height",
        "opacity",
        "mask",
        "emissive",
        "data",
    ]
    | None,
    typer.Option(
        metavar="ROLE",
        help="Role of a picture: color, albedo, normal, ao, roughness, metalness, height, opacity, mask, emissive or "
        "data. Default: from its name and pixels. For several pictures: a manifest.",
    ),
]
Normal = Annotated[
    Literal["gl", "dx"] | None,
    typer.Option(help="Convention of green in the normal map. Default: from its name, else gl."),
]
