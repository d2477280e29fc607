"""`gscodec export`: exports the maps of an `.igs` file as textures for engines, or the file as a page."""

from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from gscodec.cli import _console
from gscodec.cli._limits import MaxCandidates, MaxMemory, MaxPixels, Timeout, limits_of
from gscodec.cli._lods import LAST_LOD, shown_lod
from gscodec.cli._paths import igs_source, output_path
from gscodec.cli._values import Dimensions, human_bytes, parse_dimensions
from gscodec.errors import InvalidArgument
from gscodec.material.outputs import display_name

if TYPE_CHECKING:
    from gscodec.model.limits import Limits

_TEXTURES: Final = frozenset(("dds", "ktx2", "png", "exr"))


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file; - reads stdin.")],
    to: Annotated[
        Literal["dds", "ktx2", "png", "exr", "html", "words", "npz", "ply", "svg"],
        typer.Option("--to", help="File type."),
    ],
    output: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUT]",
            help="Folder for the textures. Default: IN without suffix; .exported is added where that folder could hold "
            "the sources of IN. From html on, a file. Default: IN with that suffix.",
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these maps, by file, name or role: normal,ao.")
    ] = None,
    format_name: Annotated[
        Literal[
            "auto",
            "bc1",
            "bc3",
            "bc4",
            "bc5",
            "bc6h",
            "bc7",
            "astc-4x4",
            "astc-5x5",
            "astc-6x6",
            "astc-8x8",
            "astc-10x10",
            "astc-12x12",
            "rgba8",
        ],
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Texel format of dds and ktx2: auto, bc1, bc3, bc4, bc5, bc6h, bc7, rgba8, or of ktx2 astc-4x4, 5x5, "
            "6x6, 8x8, 10x10, 12x12. auto: colour BC7, normals BC5, one channel BC4, floats half.",
        ),
    ] = "auto",
    mips: Annotated[
        bool | None,
        typer.Option(
            "--mips/--no-mips",
            help="Write all mip levels; png and exr have one file per level. Default: on for dds and ktx2.",
        ),
    ] = None,
    bits: Annotated[
        Literal["8", "16", "32"] | None,
        typer.Option(help="Bits per sample; 16 and 32 are uncompressed in dds and ktx2. Default: 8, floats 16."),
    ] = None,
    lod: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=LAST_LOD,
            metavar="N",
            help="Level of detail: 0 is the finest; beyond the coarsest, the coarsest. Default: the finest.",
        ),
    ] = None,
    size: Annotated[
        Dimensions | None,
        typer.Option(parser=parse_dimensions, metavar="WxH", help="Size of all textures. Default: that of each map."),
    ] = None,
    normals: Annotated[
        Literal["gl", "dx"] | None,
        typer.Option(help="Direction of green in exported normal maps: OpenGL's or DirectX's. Default: as in IN."),
    ] = None,
    pack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B,C",
            help="Make a texture of single channels of maps, orm=ao.r,roughness.r,metalness.r; 1-roughness inverts, 0 "
            "and 1 are constant. May be repeated. Without --only, maps that go into one are not exported on their own.",
        ),
    ] = None,
    zstd: Annotated[
        int | None,
        typer.Option(min=1, max=22, metavar="N", help="Supercompression of ktx2 by zstd at this level. Default: none."),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Device: auto, cpu, cuda, cuda:N or gpu.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", "-j", min=1, metavar="N", help="CPU threads. Default: all cores.")
    ] = None,
    max_pixels: MaxPixels = None,
    max_memory: MaxMemory = None,
    max_candidates: MaxCandidates = None,
    timeout: Timeout = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Write the maps of an .igs file as textures for an engine, or the file as a page for browsers.

    The compression follows the role of each map. Mips average colour as light and normals as vectors. html is one page
    that holds the file and a viewer, and needs no network; words is the buffer that shaders/igs_sample.glsl samples a
    file of profile packed from. npz, ply and svg are the Gaussians themselves: arrays for NumPy, a cloud of points, a
    picture of ellipses; gscodec import reads npz and ply. Only --overwrite goes with these, and --lod with the last
    three. Prints one line per file.
    """
    if to not in _TEXTURES:
        is_level = to in {"npz", "ply", "svg"}
        textures_only = (only, mips, bits, size, normals, pack, zstd, None if is_level else lod)
        if any(option is not None for option in textures_only) or format_name != "auto":
            also = " and --lod go" if is_level else " goes"
            raise InvalidArgument(f"--to {to} writes no textures: only --overwrite{also} with it")
        limits = limits_of(max_pixels, max_memory, max_candidates, timeout)
        _write_whole(source, output, to, overwrite, lod or 0, limits)
        return
    from gscodec.decoding.image import open_igs
    from gscodec.exporting import export

    file, limits = igs_source(source), limits_of(max_pixels, max_memory, max_candidates, timeout)
    if lod:
        with open_igs(file, device="cpu", limits=limits, grain=False) as image:
            lod = shown_lod(lod, image.lods, display_name(source))
    written = export(
        file,
        output,
        to=to,
        only=None if only is None else [name.strip() for name in only.split(",") if name.strip()],
        lod=lod,
        mips=mips,
        format=format_name,
        bits=None if bits is None else int(bits),
        size=size,
        normals=normals,
        pack=pack or (),
        zstd=zstd,
        device=device,
        threads=threads,
        overwrite=overwrite,
        limits=limits,
    )
    for one in written:
        levels = f", {one.levels} levels" if one.levels > 1 else ""
        _console.emit(f"{one.path}: {one.format}, {one.width}x{one.height}{levels}, {human_bytes(one.n_bytes)}")


def _write_whole(source: str, output: str | None, to: str, overwrite: bool, lod: int, limits: "Limits") -> None:
    """Write one file that holds all of an .igs file, atomically; without an output, of stdin, to stdout."""
    from gscodec.io.atomic import write_atomic

    path = output_path(source, output, f".{to}", overwrite)
    if to == "html":
        from gscodec.viewer.embedding import embedded_igs
        from gscodec.viewer.page import viewer_page

        data = viewer_page([embedded_igs(igs_source(source), display_name(source))]).encode()
    elif to in {"npz", "ply", "svg"}:
        from gscodec.interchange.files import export_gaussians

        data = export_gaussians(igs_source(source), to, lod=lod, limits=limits)
    else:
        from gscodec.exporting.shader_data import shader_data

        data = shader_data(igs_source(source)).astype("<u4").tobytes()
    if path is None:
        _console.emit_bytes(data)
        return
    write_atomic(path, data, overwrite)
    _console.emit(f"{path}: {to}, {human_bytes(len(data))}")
