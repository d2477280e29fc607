"""Description of a file as one JSON-serialisable value (`gscodec info`)."""

from collections.abc import Sequence
from typing import Any

from gscodec.container.reader import IgsReader
from gscodec.format.files import FileEntry
from gscodec.format.layout import CODEC_DEFLATE
from gscodec.format.profile_table import LAYOUTS
from gscodec.format.records import RecordLayout
from gscodec.io.source import SourceLike
from gscodec.model.channels import ChannelGroup, channel_spans
from gscodec.model.grain import MAX_CORRELATION, STRENGTH_UNIT, Grain
from gscodec.model.json_value import Json
from gscodec.model.limits import DEFAULT_LIMITS, Limits


def _rate(n_bytes: int, pixels: int) -> float:
    return 8 * n_bytes / pixels


def _group(group: ChannelGroup, background: list[float]) -> dict[str, Any]:
    return {
        "name": group.name,
        "role": group.role.value,
        "n_channels": group.n_channels,
        "bit_depth": group.bit_depth,
        "sample_type": group.sample_type.value,
        "transfer": group.transfer.value,
        "alpha": group.alpha.value,
        "normal": group.normal.value,
        "value_min": group.value_min,
        "value_max": group.value_max,
        "knee_log2": group.knee_log2,
        "source": group.source,
        "background": background,
    }


def _file(entry: FileEntry) -> dict[str, Any]:
    rare = {key: getattr(entry, key) for key in ("fill", "icc") if getattr(entry, key) is not None}
    return rare | {
        "name": entry.name,
        "width": entry.width,
        "height": entry.height,
        "n_channels": entry.n_channels,
        "groups": list(entry.groups),
        "unit_z": entry.unit_z,
        "binary": entry.binary,
        "binary_alpha": entry.binary_alpha,
        "constant": list(entry.constant) or None,
    }


def _grain(grain: Grain, groups: Sequence[ChannelGroup]) -> dict[str, Any]:
    return {
        "group": groups[grain.group].name,
        "correlation": grain.correlation / MAX_CORRELATION,
        "independence": grain.independence / 255,
        "strengths": [strength * STRENGTH_UNIT for strength in grain.strengths],
    }


def _widths(layout: RecordLayout | None) -> dict[str, Any] | None:
    if layout is None:
        return None
    narrow, elongation, *features = layout.bits
    return {"narrow": narrow, "elongation": elongation, "place": layout.place_bits, "features": features}


def info(source: SourceLike, *, name: str | None = None, limits: Limits = DEFAULT_LIMITS) -> dict[str, Json]:
    """Everything in an `.igs` file but its pixels, as JSON can say it: what `gscodec info --json` prints.

    Args:
        source, name, limits: as `IgsReader`.

    Raises:
        GsCodecError: as `IgsReader` and `describe`.
    """
    with IgsReader(source, name, limits) as reader:
        return describe(reader)


def describe(reader: IgsReader) -> dict[str, Any]:
    """Header, channels, LODs, chunks and metadata of an open file; rates count all bytes, LODs have prefix sizes.

    Raises:
        GsCodecError: the ICC profile or the metadata is damaged.
    """
    header = reader.header
    pixels = header.width * header.height
    payload = reader.payload_size
    groups = [
        _group(group, [float(value) for value in reader.grid.background[channels]])
        for group, channels in channel_spans(reader.groups)
    ]
    available = set(reader.available_lods)
    levels = []
    for number in range(reader.n_sets):
        for lod in reader.lods_of(number):
            size = reader.prefix_size(lod)
            is_known = reader.has_tables(number)
            levels.append(
                {
                    "lod": lod,
                    "set": number,
                    "width": -(-header.width // reader.scale_of(number)),
                    "height": -(-header.height // reader.scale_of(number)),
                    "n_gaussians": reader.count(lod) if is_known else None,
                    "gains": list(reader.gains(lod)) if is_known else None,
                    "bytes": size,
                    "bpp": _rate(size, pixels),
                    "available": lod in available,
                }
            )
    return {
        "version": f"{header.version_major}.{header.version_minor}",
        "profile": LAYOUTS[header.profile].name,
        "width": header.width,
        "height": header.height,
        "n_channels": header.n_channels,
        "n_gaussians": header.n_gaussians,
        "top_k": header.top_k,
        "support_q": header.support_q,
        "file_size": header.file_size,
        "stored_size": reader.stored_size,
        "truncated": reader.truncated,
        "bpp": _rate(header.file_size, pixels),
        "bppc": _rate(header.file_size, pixels) / header.n_channels,
        "payload_bpp": _rate(payload, pixels),
        "bits_per_gaussian": _rate(payload, max(header.n_gaussians, 1)),
        "data_offset": reader.data_offset,
        "record_size": reader.record_bytes,
        "record_bits": _widths(reader.record_layout),
        "page_size": header.page_size,
        "n_pages": reader.n_pages,
        "groups": groups,
        "files": [_file(entry) for entry in reader.files],
        "lods": levels,
        "chunks": [
            {
                "type": chunk.label,
                "critical": chunk.critical,
                "codec": {0: "none", CODEC_DEFLATE: "deflate"}.get(chunk.codec, str(chunk.codec)),
                "offset": chunk.offset,
                "stored_size": chunk.stored_size,
                "raw_size": chunk.raw_size,
                "crc32c": None if chunk.crc is None else f"{chunk.crc:08x}",
            }
            for chunk in reader.chunks
        ],
        "grain": [_grain(grain, reader.groups) for grain in reader.grain] or None,
        "icc_bytes": len(reader.icc) if reader.icc is not None else None,
        "tags": reader.metadata.tags or None,
        "exif_bytes": len(reader.metadata.exif) if reader.metadata.exif else None,
        "xmp_bytes": len(reader.metadata.xmp) if reader.metadata.xmp else None,
        "meta": reader.meta,
    }
