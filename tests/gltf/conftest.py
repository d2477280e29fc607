import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gltf_models import POSITIONS, document, pictures

from gscodec.gltf.glb import Chunks, pack_glb

Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Writes the model: build("glb" or "files" or "data", change=...) in tmp_path / "in"."""

    def write(form: str, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        root, contents = document(), [*pictures().items(), ("again.png", pictures()["wood.png"])]
        binary = bytearray(POSITIONS)
        for image, (name, data) in zip(root["images"], contents, strict=True):
            if form == "glb":
                binary += bytes(-len(binary) % 4)
                root["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
                image |= {"bufferView": len(root["bufferViews"]) - 1, "mimeType": "image/png"}
                binary += data
            elif form == "data":
                image["uri"] = "data:image/png;base64," + base64.b64encode(data).decode()
            else:
                (folder / "maps of it").mkdir(exist_ok=True)
                (folder / "maps of it" / name).write_bytes(data)
                image["uri"] = f"maps%20of%20it/{name}"
        root["buffers"][0]["byteLength"] = len(binary)
        if form != "glb":
            (folder / "mesh.bin").write_bytes(binary)
            root["buffers"][0]["uri"] = "mesh.bin"
        if change is not None:
            change(root)
        text = json.dumps(root).encode()
        path = folder / ("model.glb" if form == "glb" else "model.gltf")
        path.write_bytes(pack_glb(Chunks(text, bytes(binary)), "model.glb") if form == "glb" else text)
        return path

    return write
