"""Damaged and malicious models: one-line errors, and nothing is written."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gltf_models import QUICK

from gscodec.errors import GsCodecError, LimitExceeded
from gscodec.gltf.convert import decode_model, encode_model
from gscodec.model.limits import Limits

Build = Callable[..., Path]
Change = Callable[[dict[str, Any]], object]

FAULTS: dict[str, tuple[str, Change]] = {
    "a URI that leaves the folder": ("files", lambda root: root["images"][0].update(uri="../secret.png")),
    "an escaped way out": ("files", lambda root: root["images"][0].update(uri="a/%2e%2e/%2E%2e/secret.png")),
    "an absolute path": ("files", lambda root: root["images"][0].update(uri="/etc/passwd")),
    "a URL": ("files", lambda root: root["images"][0].update(uri="http://localhost/a.png")),
    "a file URL": ("files", lambda root: root["buffers"][0].update(uri="file:///etc/passwd")),
    "a NUL": ("files", lambda root: root["images"][0].update(uri="a%00.png")),
    "a backslash": ("files", lambda root: root["images"][0].update(uri="..\\secret.png")),
    "a line feed": ("files", lambda root: root["images"][0].update(uri="a%0Ab.png")),
    "an escape sequence": ("files", lambda root: root["images"][0].update(uri="\x1b[31m.png")),
    "a missing file": ("files", lambda root: root["images"][0].update(uri="none.png")),
    "a folder": ("files", lambda root: root["images"][0].update(uri="maps%20of%20it")),
    "a URI that is no text": ("files", lambda root: root["images"][0].update(uri=3)),
    "bad base64": ("data", lambda root: root["images"][0].update(uri="data:image/png;base64,???")),
    "a data URI without comma": ("data", lambda root: root["images"][0].update(uri="data:image/png")),
    "an image of nothing": ("glb", lambda root: root["images"][0].pop("bufferView")),
    "an image of two things": ("glb", lambda root: root["images"][0].update(uri="a.png")),
    "a huge offset": ("glb", lambda root: root["bufferViews"][1].update(byteOffset=2**70)),
    "a negative offset": ("glb", lambda root: root["bufferViews"][1].update(byteOffset=-8)),
    "a fractional length": ("glb", lambda root: root["bufferViews"][1].update(byteLength=8.5)),
    "a length that is true": ("glb", lambda root: root["bufferViews"][1].update(byteLength=True)),
    "a view beyond its buffer": ("glb", lambda root: root["bufferViews"][1].update(byteLength=10**6)),
    "a buffer beyond its chunk": ("glb", lambda root: root["buffers"][0].update(byteLength=10**9)),
    "a buffer that is not there": ("glb", lambda root: root["bufferViews"][1].update(buffer=4)),
    "a second buffer without data": (
        "glb",
        lambda root: (root["buffers"].append({"byteLength": 9}), root["bufferViews"][1].update(buffer=1)),
    ),
    "a texture of no image": ("glb", lambda root: root["textures"][0].update(source=40)),
    "a texture of a negative image": ("glb", lambda root: root["textures"][0].update(source=-1)),
    "a texture of a text": ("glb", lambda root: root["textures"][0].update(source="0")),
    "textures that are an object": ("glb", lambda root: root.update(textures={})),
    "textures that are numbers": ("glb", lambda root: root.update(textures=[1])),
    "materials that are null": ("glb", lambda root: root.update(materials=None)),
    "a material of a text": ("glb", lambda root: root["materials"][0].update(pbrMetallicRoughness="x")),
    "a normal texture of a number": ("glb", lambda root: root["materials"][0].update(normalTexture=1)),
    "a material of no texture": ("glb", lambda root: root["materials"][0].update(normalTexture={"index": 9})),
    "extensions that are a list": ("glb", lambda root: root["textures"][0].update(extensions=[])),
    "names of extensions that are numbers": ("glb", lambda root: root.update(extensionsUsed=[1])),
    "a view of no number": ("glb", lambda root: root["accessors"][0].update(bufferView=77)),
    "another version": ("glb", lambda root: root["asset"].update(version="1.0")),
    "no asset": ("glb", lambda root: root.pop("asset")),
    "a picture that is cut off": (
        "data",
        lambda root: root["images"][0].update(uri=root["images"][0]["uri"][: len(root["images"][0]["uri"]) // 8 * 4]),
    ),
}


def refused(convert: Callable[..., object], source: Path, output: Path, **options: Any) -> str:
    with pytest.raises(GsCodecError) as caught:
        convert(source, output, encoder=QUICK, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    assert not output.exists()
    assert not output.parent.exists() or not list(output.parent.iterdir())
    return text


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_nothing_is_written(build: Build, tmp_path: Path, fault: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    form, change = FAULTS[fault]
    source = build(form, change)
    assert str(source) in refused(encode_model, source, tmp_path / "out" / "out.glb", fallback=False)


EXTENDED: dict[str, Change] = {
    "no object": lambda root: root["textures"][0]["extensions"].update(GSCODEC_texture_igs=3),
    "no source": lambda root: root["textures"][0]["extensions"].update(GSCODEC_texture_igs={}),
    "no image": lambda root: root["textures"][0]["extensions"].update(GSCODEC_texture_igs={"source": 44}),
    "a PNG file": lambda root: root.update(scene=0),
}


@pytest.mark.parametrize("fault", EXTENDED)
def test_faults_of_the_extension_are_one_line(build: Build, tmp_path: Path, fault: str) -> None:
    def change(root: dict[str, Any]) -> None:
        root["textures"][0]["extensions"] = {"GSCODEC_texture_igs": {"source": 1}}
        EXTENDED[fault](root)

    refused(decode_model, build("glb", change), tmp_path / "out" / "out.glb")


def test_links_out_of_the_folder_are_not_followed(build: Build, tmp_path: Path) -> None:
    source = build("files")
    (tmp_path / "secret.png").write_bytes((source.parent / "maps of it" / "wood.png").read_bytes())
    (source.parent / "maps of it" / "wood.png").unlink()
    (source.parent / "maps of it" / "wood.png").symlink_to(tmp_path / "secret.png")
    assert "out of the folder" in refused(encode_model, source, tmp_path / "out" / "out.glb")


def glb(*chunks: tuple[bytes, bytes], version: int = 2, more: int = 0) -> bytes:
    body = b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in chunks)
    return struct.pack("<4sII", b"glTF", version, 12 + len(body) + more) + body


TEXT = json.dumps({"asset": {"version": "2.0"}}).encode()
BYTES = {
    "nothing": b"",
    "text": b"hello",
    "a list": b"[]",
    "a number that is none": b'{"asset": {"version": "2.0"}, "a": NaN}',
    "a number of many digits": b'{"asset": {"version": "2.0"}, "a": ' + b"9" * 5000 + b"}",
    "a number beyond binary64": b'{"asset": {"version": "2.0"}, "a": 1e999}',
    "nesting that a writer could not follow": b'{"asset": {"version": "2.0"}, "a": ' + b"[" * 300 + b"]" * 300 + b"}",
    "a lone surrogate": b'{"asset": {"version": "2.0"}, "a": "\\ud800"}',
    "deep nesting": b"[" * 200_000,
    "bytes that are no UTF-8": b'{"asset": "\xff"}',
    "a header that is cut off": b"glTF\2\0",
    "no chunk": glb(),
    "binary first": glb((b"BIN\0", b"abcd"), (b"JSON", TEXT)),
    "version 1": glb((b"JSON", TEXT), version=1),
    "a longer length": glb((b"JSON", TEXT), more=8),
    "a shorter length": glb((b"JSON", TEXT), more=-8),
    "a chunk beyond the end": glb((b"JSON", TEXT))[:12] + struct.pack("<I4s", 2**32 - 1, b"JSON") + TEXT,
    "half a chunk header": glb((b"JSON", TEXT), more=4) + b"abcd",
}


@pytest.mark.parametrize("what", BYTES)
def test_files_that_are_no_models_are_refused(tmp_path: Path, what: str) -> None:
    source = tmp_path / "model.glb"
    source.write_bytes(BYTES[what])
    assert refused(encode_model, source, tmp_path / "out" / "out.glb").startswith(str(source))


def test_every_prefix_of_a_model_is_refused(build: Build, tmp_path: Path) -> None:
    data = build("glb").read_bytes()
    source = tmp_path / "cut.glb"
    for n_bytes in [*range(0, 64, 3), *range(64, len(data), 211)]:
        source.write_bytes(data[:n_bytes])
        refused(encode_model, source, tmp_path / "out" / "out.glb")


def test_memory_is_that_of_all_files_and_of_the_document(build: Build, tmp_path: Path) -> None:
    def several(root: dict[str, Any]) -> None:
        root["materials"] = []
        for number, image in enumerate(root["images"]):
            (tmp_path / "in" / f"{number}.png").write_bytes(bytes(1 << 20))
            image["uri"] = f"{number}.png"

    source = build("files", several)
    for n_bytes, is_enough in {9 << 20: False, 18 << 20: True}.items():
        encoder = replace(QUICK, limits=Limits(max_memory=n_bytes))
        if is_enough:
            encode_model(source, tmp_path / "out" / "out.glb", encoder=encoder)
        else:
            with pytest.raises(LimitExceeded, match="held in memory"):
                encode_model(source, tmp_path / "out" / "out.glb", encoder=encoder)
    source.write_text(json.dumps({"asset": {"version": "2.0"}, "extras": [[]] * 100_000}))
    with pytest.raises(LimitExceeded, match="a document of about 200003 values"):
        encode_model(source, tmp_path / "out2" / "out.glb", encoder=replace(QUICK, limits=Limits(max_memory=20 << 20)))


def test_a_file_of_many_names_is_stored_once(build: Build, tmp_path: Path) -> None:
    def spelled(root: dict[str, Any]) -> None:
        root["materials"] = []
        root["images"] += [{"uri": "./" * number + "maps%20of%20it/wood.png"} for number in range(50)]

    source = build("files", spelled)
    encode_model(source, tmp_path / "out.glb", encoder=QUICK)
    n_bytes = sum(file.stat().st_size for file in source.parent.rglob("*") if file.is_file())
    assert (tmp_path / "out.glb").stat().st_size < n_bytes


def test_time_grows_with_the_number_of_textures_not_with_its_square(build: Build, tmp_path: Path) -> None:
    n = 20_000  # took minutes where each look at a list looked at all of it

    def many(root: dict[str, Any]) -> None:
        root["materials"] = []
        root["images"] = [{"uri": "data:image/png;base64,AAAA"}] * n
        root["textures"] = [{"source": number} for number in range(n)]

    assert encode_model(build("files", many), tmp_path / "out.gltf", encoder=QUICK).textures == ()
