"""Records of a file -> Gaussians in device memory: launches of unpack.cu.

Only records travel, 16 bytes of an RGB Gaussian where its values take 52. A profile is a function of its own beside its
kernel; the caller, who has read the file's header, knows which.
"""

from typing import Final

import numpy as np

from gscodec.cuda.binning import DeviceGaussians
from gscodec.cuda.runtime import Define, Runtime
from gscodec.errors import InvalidArgument
from gscodec.format.quantize import Records
from gscodec.gaussians import LodTable

UNPACK_THREADS: Final = 256

DEFINES: Final[dict[str, Define]] = {"UNPACK_THREADS": UNPACK_THREADS}
"""What unpack.cu is compiled with."""


def unpack_f16(
    runtime: Runtime, records: Records, lods: LodTable, lod: int, height: int, width: int
) -> DeviceGaussians:
    """The Gaussians that a LOD shows: the bits of `dequantize_records` with that level's gains.

    Args:
        records: (n, 5 + C) checked records of profile `f16`, from the file's first on, at least those the LOD shows.
        height: of the stored image, px; width likewise.

    Raises:
        InvalidArgument: there is no such LOD, or there are too few records.
    """
    if not 0 <= lod < len(lods):
        raise InvalidArgument(f"LOD {lod} does not exist: the file has LODs 0 to {len(lods) - 1}")
    step = len(lods) - 1 - lod
    n, n_channels = lods.counts[step], records.shape[1] - 5
    if len(records) < n or n_channels < 1 or records.dtype != np.dtype("<u2"):
        raise InvalidArgument(f"records: {records.dtype} {records.shape} for {n} Gaussians")
    xp, up = runtime.xp, runtime.upload
    means, inv_scales = xp.empty((n, 2), np.float64), xp.empty((n, 2), np.float64)
    rotations, features = xp.empty(n, np.float64), xp.empty((n, n_channels), np.float32)
    if n:
        runtime.kernel("unpack", "unpack_f16", **DEFINES)(
            -(-n * records.shape[1] // UNPACK_THREADS),
            UNPACK_THREADS,
            up(np.ascontiguousarray(records[:n])),
            np.int32(n),
            np.int32(n_channels),
            np.float64(height),
            np.float64(width),
            np.int32(step + 1),
            up(np.asarray(lods.counts[: step + 1], np.int32)),
            up(np.asarray(lods.gains[step], np.float64)),
            means,
            inv_scales,
            rotations,
            features,
        )
    shown = up(np.array([n], np.int32))
    return DeviceGaussians(shown, means, inv_scales, rotations, features, n_channels, n_channels)
