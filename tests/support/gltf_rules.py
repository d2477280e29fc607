"""The rules of glTF 2.0 and of GSCODEC_texture_igs for what a conversion touches, checked in a document."""

import json
from pathlib import Path
from typing import Any

from gscodec.gltf.model import Model, read_model

EXTENSION = "GSCODEC_texture_igs"
SIGNATURES = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff", "image/vnd.gscodec.igs": b"\xabIGS"}
SCHEMA = Path(__file__).parents[2] / "spec" / "gltf" / EXTENSION / "schema" / f"texture.{EXTENSION}.schema.json"


def checked(path: Path) -> Model:
    """The model in a file, whose buffers, views, images and textures keep the rules."""
    model = read_model(path)
    root = model.root
    for key in ("images", "textures", "buffers", "bufferViews", "extensionsUsed", "extensionsRequired"):
        assert root.get(key) != [], f"{key} is an empty list"
    assert set(root.get("extensionsRequired", [])) <= set(root.get("extensionsUsed", []))
    for number, buffer in enumerate(root.get("buffers", [])):
        assert buffer["byteLength"] >= 1
        assert len(model.buffer_bytes(number, "a test")) == buffer["byteLength"]
    views = root.get("bufferViews", [])
    for number, view in enumerate(views):
        assert view["byteLength"] >= 1
        assert len(model.view_bytes(number, "a test")) == view["byteLength"]
    for number, image in enumerate(root.get("images", [])):
        assert ("uri" in image) != ("bufferView" in image)
        if "bufferView" in image:
            view = views[image["bufferView"]]
            assert "byteStride" not in view
            assert "target" not in view
            assert "mimeType" in image
        data = model.image_bytes(number)
        if "mimeType" in image:
            assert data.startswith(SIGNATURES[image["mimeType"]])
    for accessor in root.get("accessors", []):
        assert views[accessor["bufferView"]].get("byteOffset", 0) % 4 == 0
    extended = [texture for texture in root.get("textures", []) if EXTENSION in texture.get("extensions", {})]
    for texture in root.get("textures", []):
        assert texture.get("extensions") != {}
        if "source" in texture:
            assert root["images"][texture["source"]].get("mimeType") != "image/vnd.gscodec.igs"
    for texture in extended:
        _check_schema(texture["extensions"][EXTENSION])
        image = root["images"][texture["extensions"][EXTENSION]["source"]]
        assert image["mimeType"] == "image/vnd.gscodec.igs"
        if "bufferView" in image:
            assert views[image["bufferView"]]["byteOffset"] % 4 == 0
    assert (EXTENSION in root.get("extensionsUsed", [])) == bool(extended)
    assert (EXTENSION in root.get("extensionsRequired", [])) == any("source" not in texture for texture in extended)
    return model


def _check_schema(value: Any) -> None:
    """The JSON schema of the extension, by the parts of the language that it uses."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema["type"] == "object"
    assert isinstance(value, dict)
    assert set(schema["required"]) <= set(value) <= set(schema["properties"])
    assert schema["properties"]["source"]["allOf"] == [{"$ref": "glTFid.schema.json"}]
    assert isinstance(value["source"], int)
    assert value["source"] >= 0
