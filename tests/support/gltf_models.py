"""A small glTF model with four textures."""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image
from small_pictures import draw_picture

from gscodec.encoding.settings import EncodeSettings
from gscodec.gltf.pictures import Encoder

QUICK = Encoder(EncodeSettings(gaussians=8, preset="fast", steps=2, lods=1), device="cpu", threads=1)
"""The encoder of all tests here: what is tested is the document, not the picture."""


def png(samples: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(samples).save(out, "PNG")
    return out.getvalue()


def normals(side: int = 16) -> Any:
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5
    vectors = np.stack([rows, columns, np.sqrt(1 - rows**2 - columns**2)], axis=-1)
    return np.round(127.5 + 127.5 * vectors).astype(np.uint8)


def pictures() -> dict[str, bytes]:
    """PNG files of 16x16 px: opaque colour with an unused alpha of 0, normals, packed data."""
    colour = draw_picture(16, 16)
    clear = np.zeros((16, 16, 1), np.uint8)
    return {
        "wood.png": png(np.concatenate([colour, clear], axis=-1)),
        "wood_n.png": png(normals()),
        "orm.png": png(colour[::-1].copy()),
    }


def document() -> dict[str, Any]:
    """A model of one material with four textures, two of which show the same picture, and a triangle."""
    return {
        "asset": {"version": "2.0", "generator": "a test", "extras": {"bufferView": 0, "source": 7}},
        "buffers": [{"byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36, "target": 34962}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]}
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
        "samplers": [{"magFilter": 9729}],
        "images": [{"name": "wood"}, {"name": "wood_n"}, {"name": "orm"}, {"name": "again"}],
        "textures": [{"source": 0, "sampler": 0}, {"source": 1}, {"source": 2}, {"source": 3}],
        "materials": [
            {
                "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicRoughnessTexture": {"index": 2}},
                "normalTexture": {"index": 1, "scale": 0.5},
                "occlusionTexture": {"index": 2},
                "emissiveTexture": {"index": 3},
            }
        ],
    }


POSITIONS = struct.pack("<9f", 0, 0, 0, 1, 0, 0, 0, 1, 0)
"""The triangle of the model."""
