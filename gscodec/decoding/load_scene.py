"""The scene of a part of a picture, in the memory of the engine that renders it."""

from gscodec.container.reader import IgsReader
from gscodec.decoding.scene import HostScene, Scene
from gscodec.decoding.statistics import WorkTally
from gscodec.decoding.work import TileRect
from gscodec.render.base import Rasterizer


def load_scene(
    reader: IgsReader, backend: Rasterizer, lod: int, tiles: TileRect, tally: WorkTally | None, max_pairs: int
) -> Scene:
    """Some tiles of a LOD where the engine wants them.

    Args:
        tally: counts what is computed in host memory.
        max_pairs: most entries of tile lists.

    Raises:
        TooManyPairs: they have more.
        GsCodecError: as `IgsReader.read`, and what the engine raises.
    """
    there = backend.on_device
    if there is not None:
        from gscodec.decoding.device import DeviceScene

        return DeviceScene(reader, there.runtime, lod, tiles, max_pairs)
    return HostScene(reader, backend, lod, tiles, tally, max_pairs)
