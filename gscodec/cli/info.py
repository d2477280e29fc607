"""`gscodec info`: prints the contents of an `.igs` file."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gscodec.cli import _console
from gscodec.cli._limits import Timeout, limits_of
from gscodec.cli._paths import igs_source
from gscodec.material.outputs import display_name


def command(
    source: Annotated[str, typer.Argument(metavar="IN", help="The .igs file, a path or URL; - reads stdin.")],
    timeout: Timeout = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything in the file but its pixels, as JSON.")
    ] = False,
) -> None:
    """Show what an .igs file holds.

    Prints the picture's size, its channels, the levels of detail with their bytes and rates, and the metadata.
    """
    from gscodec.container.describe import info

    facts = info(igs_source(source), name=display_name(source), limits=limits_of(timeout=timeout))
    if as_json:
        _console.emit_json(facts)
    else:
        for line in _lines(display_name(source), facts):
            _console.emit(line)


def _lines(name: str, facts: dict[str, Any]) -> Iterator[str]:
    """The facts as lines of text, the most useful first."""
    yield f"{name}: .igs {facts['version']}, profile {facts['profile']}"
    yield f"picture   {facts['width']} x {facts['height']} px, {facts['n_channels']} channels"
    yield f"size      {facts['file_size']} bytes, {facts['bpp']:.4f} bpp, {facts['bppc']:.4f} bppc"
    if facts["truncated"]:
        yield f"          truncated: only {facts['stored_size']} bytes are present"
    yield (
        f"content   {facts['n_gaussians']} Gaussians of {facts['bits_per_gaussian']:.1f} bits, "
        f"{facts['n_pages']} pages, K {facts['top_k']}, Q {facts['support_q']:g}"
    )
    if facts["record_bits"]:
        yield f"records   {facts['record_size']} bytes: {_widths(facts['record_bits'])}"
    for group in facts["groups"]:
        details = [f"{group['n_channels']} x {group['bit_depth']}-bit {group['sample_type']}", group["transfer"]]
        details += [f"{key} {group[key]}" for key in ("alpha", "normal") if group[key] != "none"]
        if group["source"]:
            details.append(f"from {group['source']}")
        yield f"channels  {group['name']} ({group['role']}): {', '.join(details)}"
    for grain in facts["grain"] or ():
        most = max(grain["strengths"])
        yield f"grain     {grain['group']}: standard deviation up to {most:.4f}, correlation {grain['correlation']:.2f}"
    for entry in facts["files"]:
        yield f"file      {_file(entry)}"
    if facts["icc_bytes"] is not None:
        yield f"profile   ICC, {facts['icc_bytes']} bytes"
    tags = [f"{key} {_console.compact_json(value)}" for key, value in (facts["tags"] or {}).items()]
    sizes = {"Exif": facts["exif_bytes"], "XMP": facts["xmp_bytes"]}
    tags += [f"{words}, {n_bytes} bytes" for words, n_bytes in sizes.items() if n_bytes]
    if tags:
        yield f"source    {'; '.join(tags)}"
    yield "LOD  Gaussians       bytes      bpp"
    for level in facts["lods"]:
        mark = f"  made of {level['width']} x {level['height']} px" if level["set"] else ""
        mark += "" if level["available"] else "  not in this file"
        count = "?" if level["n_gaussians"] is None else level["n_gaussians"]
        yield f"{level['lod']:3d} {count:>10} {level['bytes']:11d} {level['bpp']:8.4f}{mark}"
    for key, value in (facts["meta"] or {}).items():
        yield f"meta      {key}: {_console.compact_json(value)}"


def _widths(bits: dict[str, Any]) -> str:
    *shape, features = bits.items()
    return ", ".join(f"{name} {width}" for name, width in shape) + f", features {'+'.join(map(str, features[1]))} bits"


def _file(entry: dict[str, Any]) -> str:
    """Description of a source file and its channels."""
    size = f"{entry['name']}: {entry['width']} x {entry['height']} px"
    if entry["constant"]:
        return f"{size}, all {' '.join(format(value, '.3f') for value in entry['constant'])}"
    channels = f"{entry['n_channels']} channel{'s' if entry['n_channels'] != 1 else ''}"
    notes = [text for key, text in (("unit_z", "Z from X and Y"), ("binary", "0 or 1")) if entry[key]]
    if "fill" in entry:
        notes.insert(0, f"the third all {entry['fill']:.3f}")
    return ", ".join([size, channels, *notes, f"from {' '.join(entry['groups'])}"])
