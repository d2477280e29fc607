"""Loads the Gaussians of a part of a picture into the memory of the engine that renders it."""

from gscodec.container.reader import IgsReader
from gscodec.decoding.scene import HostScene, Scene
from gscodec.decoding.statistics import WorkTally
from gscodec.decoding.work import TileRect
from gscodec.render.base import Rasterizer


def load_scene(
    reader: IgsReader, backend: Rasterizer, lod: int, tiles: TileRect, tally: WorkTally | None, max_pairs: int
) -> Scene:
    """Scene of some tiles of a level of detail, in host memory or on the engine's GPU.

    Args:
        tally: counts the work done in host memory.
        max_pairs: maximum number of entries of the tile lists.

    Raises:
        TooManyPairs: the lists have more entries.
        GsCodecError: as `IgsReader.read`, or raised by the engine.
    """
    there = backend.on_device
    if there is not None:
        from gscodec.decoding.device import DeviceScene

        return DeviceScene(reader, there.runtime, lod, tiles, max_pairs)
    return HostScene(reader, backend, lod, tiles, tally, max_pairs)
