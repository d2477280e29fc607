"""The part of the QUAN chunk that profiles `coded` and `packed` share: the steps of a lattice."""

from collections.abc import Sequence

import numpy as np

from gscodec.errors import CorruptField
from gscodec.format.layout import QUANTISER
from gscodec.model.channels import ChannelGroup
from gscodec.profiles.lattice import Lattice


def pack_steps(lattice: Lattice, groups: Sequence[ChannelGroup]) -> bytes:
    """The beginning of the raw chunk."""
    parts = [
        QUANTISER.pack(
            {
                "scale_step": lattice.scale_step,
                "feature_slope": lattice.feature_slope,
                "position_offset": lattice.position_offset,
                "rotation_from": bytes(lattice.rotation_from),
            }
        ),
        bytes(lattice.cell_log2),
        lattice.feature_steps.astype("<f4").tobytes(),
    ]
    at = 0
    for group in groups:
        block = slice(at, at + group.n_channels)
        parts.append(lattice.transform[block, block].astype("<f2").tobytes())
        at += group.n_channels
    return b"".join(parts)


def steps_bytes(lod_count: int, groups: Sequence[ChannelGroup]) -> int:
    """Bytes of the part that `pack_steps` writes."""
    n_channels = sum(group.n_channels for group in groups)
    return QUANTISER.size + lod_count + 4 * n_channels + sum(2 * group.n_channels**2 for group in groups)


def unpack_steps(data: bytes, lod_count: int, groups: Sequence[ChannelGroup], name: str) -> Lattice:
    """The steps that a raw QUAN chunk begins with.

    Raises:
        CorruptField: a value is outside its range, or the chunk ends early.
    """
    where = f"{name}: chunk QUAN"
    n_channels = sum(group.n_channels for group in groups)
    if len(data) < steps_bytes(lod_count, groups):
        raise CorruptField(f"{where} ends early, at byte {len(data)}")
    values = QUANTISER.unpack(data)
    QUANTISER.check(values, name)
    rotation_from = tuple(values["rotation_from"])
    if list(rotation_from) != sorted(rotation_from):
        raise CorruptField(f"{where} has values of rotation_from that fall")
    at = QUANTISER.size
    cell_log2 = tuple(data[at : at + lod_count])
    QUANTISER.check({"cell_log2": max(cell_log2)}, name)
    at += lod_count
    steps = np.frombuffer(data, "<f4", n_channels, at).astype(np.float32)
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise CorruptField(f"{where} has a feature_step that is not positive")
    transform = np.zeros((n_channels, n_channels))
    at, first = at + 4 * n_channels, 0
    for group in groups:
        n = group.n_channels
        block = np.frombuffer(data, "<f2", n * n, at).astype(np.float64).reshape(n, n)
        transform[first : first + n, first : first + n] = block
        at, first = at + 2 * n * n, first + n
    if not np.isfinite(transform).all():
        raise CorruptField(f"{where} has a transform that is not finite")
    return Lattice(
        values["scale_step"],
        values["position_offset"],
        rotation_from,
        cell_log2,
        steps,
        transform,
        values["feature_slope"],
    )
