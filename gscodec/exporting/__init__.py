"""Exports textures for game engines: DDS and KTX2 with mip chains, and every level as PNG or OpenEXR."""

from gscodec.exporting.write import TARGETS, Exported, export

__all__ = ["TARGETS", "Exported", "export"]
