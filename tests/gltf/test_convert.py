import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gltf_models import POSITIONS, QUICK, document, pictures
from gltf_rules import EXTENSION, checked
from PIL import Image

import gscodec
from gscodec.errors import FileMissing, InvalidArgument, OutputExists
from gscodec.gltf.convert import decode_model, encode_model
from gscodec.gltf.glb import Chunks, pack_glb
from gscodec.gltf.model import read_model

Build = Callable[..., Path]
FORMS = ("glb", "files", "data")


def without(root: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in root.items() if key not in keys}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sources(root: dict[str, Any]) -> list[int]:
    return [texture["extensions"][EXTENSION]["source"] for texture in root["textures"]]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_textures_get_igs_files_beside_what_they_had(build: Build, tmp_path: Path, form: str, suffix: str) -> None:
    source, output = build(form), tmp_path / "out" / f"model{suffix}"
    before = tree(source.parent)
    old = read_model(source)
    converted = encode_model(source, output, encoder=QUICK)
    new = checked(output)
    assert tree(source.parent) == before
    assert [one.kind for one in converted.textures] == ["color", "normal", "data"]
    assert sources(new.root) == [4, 5, 6, 4]  # equal pictures of equal use are one image
    assert "extensionsRequired" not in new.root
    touched = ("images", "textures", "buffers", "bufferViews", "extensionsUsed")
    assert without(new.root, *touched) == without(old.root, *touched)
    assert [without(texture, "extensions") for texture in new.root["textures"]] == old.root["textures"]
    assert [new.image_bytes(number) for number in range(4)] == [old.image_bytes(number) for number in range(4)]
    assert new.view_bytes(0, "a test") == POSITIONS
    for number, role in ((4, "color"), (5, "normal"), (6, "data")):
        with gscodec.open(new.image_bytes(number)) as image:
            assert image.groups[0].role.value == role
            assert image.groups[0].alpha.value == "none"  # an opaque material does not use it
    names = {path.name for path in output.parent.rglob("*")} - {output.name}
    if suffix == ".glb":
        assert all("bufferView" in image for image in new.root["images"])
        assert not names
    elif form == "files":
        assert {"wood.igs", "wood_n.igs", "orm.igs", "wood.png", "mesh.bin"} <= names


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
def test_without_fallback_the_old_pictures_go(build: Build, tmp_path: Path, form: str, suffix: str) -> None:
    source, output = build(form), tmp_path / "out" / f"model{suffix}"
    encode_model(source, output, encoder=QUICK, fallback=False)
    new = checked(output)
    assert sources(new.root) == [0, 1, 2, 0]
    assert [image["name"] for image in new.root["images"]] == ["wood", "wood_n", "orm"]
    assert all("source" not in texture for texture in new.root["textures"])
    assert new.root["extensionsRequired"] == [EXTENSION]
    assert new.root["asset"] == document()["asset"]
    assert new.view_bytes(0, "a test") == POSITIONS
    data = b"".join(tree(output.parent).values())
    if form != "data" or suffix == ".glb":
        assert b"\x89PNG" not in data
    if suffix == ".glb":
        n_igs = sum(len(new.image_bytes(number)) for number in range(3))
        assert len(output.read_bytes()) < n_igs + len(json.dumps(new.root)) + len(POSITIONS) + 100


@pytest.mark.parametrize("form", FORMS)
def test_back_with_the_pictures_that_were_kept(build: Build, tmp_path: Path, form: str) -> None:
    source = build(form)
    suffix = source.suffix
    packed, back = tmp_path / "packed" / f"model{suffix}", tmp_path / "back" / f"model{suffix}"
    encode_model(source, packed, encoder=QUICK)
    decode_model(packed, back, encoder=QUICK)
    old, new = read_model(source), checked(back)
    changed = ("buffers",) if form == "glb" else ()  # padding of views
    assert without(new.root, *changed) == without(old.root, *changed)
    assert [new.image_bytes(number) for number in range(4)] == [old.image_bytes(number) for number in range(4)]


@pytest.mark.parametrize("form", FORMS)
def test_back_to_png_without_them(build: Build, tmp_path: Path, form: str) -> None:
    source = build(form)
    packed, back = tmp_path / "packed" / source.name, tmp_path / "back" / source.name
    encode_model(source, packed, encoder=QUICK, fallback=False)
    converted = decode_model(packed, back, encoder=QUICK)
    igs, new = read_model(packed), checked(back)
    assert [one.kind for one in converted.textures] == ["png"] * 3
    assert [texture["source"] for texture in new.root["textures"]] == [0, 1, 2, 0]
    assert "extensionsUsed" not in new.root
    assert "extensionsRequired" not in new.root
    for number in range(3):
        out = io.BytesIO()
        gscodec.decode(igs.image_bytes(number), out, device="cpu")
        expected = np.asarray(Image.open(out))
        assert expected.shape == (16, 16, 3)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(new.image_bytes(number)))), expected)


def test_alpha_that_a_material_blends_with_is_kept(build: Build, tmp_path: Path) -> None:
    def blend(root: dict[str, Any]) -> None:
        root["materials"][0]["alphaMode"] = "BLEND"
        root["materials"][0]["emissiveTexture"]["index"] = 3

    encode_model(build("glb", blend), tmp_path / "out.glb", encoder=QUICK)
    new = checked(tmp_path / "out.glb")
    first, *_, last = sources(new.root)
    assert first != last  # one picture for two uses is two images
    for number, alpha in ((first, "straight"), (last, "none")):
        with gscodec.open(new.image_bytes(number)) as image:
            assert image.groups[0].alpha.value == alpha


def test_a_texture_of_two_uses_is_data(build: Build, tmp_path: Path) -> None:
    def share(root: dict[str, Any]) -> None:
        root["materials"][0]["occlusionTexture"]["index"] = 0

    encode_model(build("glb", share), tmp_path / "out.glb", encoder=QUICK)
    new = checked(tmp_path / "out.glb")
    with gscodec.open(new.image_bytes(sources(new.root)[0])) as image:
        assert image.groups[0].role.value == "data"


def test_what_is_not_known_stays(build: Build, tmp_path: Path) -> None:
    def strange(root: dict[str, Any]) -> None:
        root["extensionsUsed"] = ["ACME_paint"]
        material = root["materials"][0]
        material["extensions"] = {"ACME_paint": {"flakeTexture": {"index": 0}, "image": 0, "bufferView": 1}}
        del material["emissiveTexture"]

    notes: list[str] = []
    encode_model(build("glb", strange), tmp_path / "out.glb", encoder=QUICK, fallback=False, note=notes.append)
    new = checked(tmp_path / "out.glb")
    textures = new.root["textures"]
    assert textures[0] == {"source": 0, "sampler": 0}
    assert textures[3] == {"source": 3}
    assert new.root["images"][:4] == read_model(tmp_path / "in" / "model.glb").root["images"]
    assert new.root["materials"][0]["extensions"]["ACME_paint"]["bufferView"] == 1
    assert [note.split(" ", 2)[:2] for note in notes[:2]] == [["texture", "0"], ["texture", "3"]]
    assert len(notes) == 3


def test_other_references_are_renumbered(build: Build, tmp_path: Path) -> None:
    def more(root: dict[str, Any]) -> None:
        root["extensionsUsed"] = ["EXT_texture_webp"]
        root["images"].append({"uri": "data:image/webp;base64,UklGRg=="})
        root["textures"][0]["extensions"] = {"EXT_texture_webp": {"source": 4}}
        root["bufferViews"].append({"buffer": 0, "byteOffset": 12, "byteLength": 24})
        root["accessors"].append({"bufferView": 5, "componentType": 5126, "count": 2, "type": "VEC3"})

    source = build("glb", more)
    encode_model(source, tmp_path / "out.glb", encoder=QUICK, fallback=False)
    new = checked(tmp_path / "out.glb")
    webp = new.root["textures"][0]["extensions"]["EXT_texture_webp"]["source"]
    assert new.root["images"][webp]["uri"].startswith("data:image/webp")
    assert new.view_bytes(new.root["accessors"][1]["bufferView"], "a test") == POSITIONS[12:]


def test_a_view_that_shares_bytes_with_a_picture_keeps_them(build: Build, tmp_path: Path) -> None:
    def overlap(root: dict[str, Any]) -> None:
        start = root["bufferViews"][1]["byteOffset"]
        root["bufferViews"].append({"buffer": 0, "byteOffset": start + 8, "byteLength": 12})
        root["accessors"].append({"bufferView": 5, "componentType": 5126, "count": 1, "type": "VEC3"})

    encode_model(build("glb", overlap), tmp_path / "out.glb", encoder=QUICK, fallback=False)
    new = checked(tmp_path / "out.glb")
    kept = new.view_bytes(new.root["accessors"][1]["bufferView"], "a test")
    assert kept == pictures()["wood.png"][8:20]


def test_sources_are_never_replaced(build: Build) -> None:
    source = build("files")
    before = tree(source.parent)
    (source.parent / "maps of it" / "wood.igs").write_bytes(b"mine")
    with pytest.raises(OutputExists, match=r"wood\.igs"):
        encode_model(source, source.parent / "new.gltf", encoder=QUICK)
    with pytest.raises(InvalidArgument, match="is the input"):
        encode_model(source, source, encoder=QUICK, overwrite=True)
    with pytest.raises(InvalidArgument, match=r"\.gltf or \.glb"):
        encode_model(source, source.with_suffix(".obj"), encoder=QUICK)
    assert without(tree(source.parent), "maps of it/wood.igs") == before
    encode_model(source, source.parent / "new.gltf", encoder=QUICK, overwrite=True)
    again = decode_model(source.parent / "new.gltf", source.parent / "old.gltf", encoder=QUICK)
    assert again.files == (source.parent / "old.gltf",)
    after = tree(source.parent)
    assert {name: after[name] for name in before} == before


def test_pngs_beside_their_sources_do_not_replace_them(build: Build) -> None:
    source = build("files")
    before = tree(source.parent)
    encode_model(source, source.parent / "new.gltf", encoder=QUICK, fallback=False)
    with pytest.raises(OutputExists, match=r"wood\.png"):
        decode_model(source.parent / "new.gltf", source.parent / "old.gltf", encoder=QUICK)
    after = tree(source.parent)
    assert {name: after[name] for name in before} == before
    assert "old.gltf" not in after


def test_a_model_without_textures_comes_through(build: Build, tmp_path: Path) -> None:
    def bare(root: dict[str, Any]) -> None:
        del root["textures"], root["materials"], root["images"], root["meshes"], root["nodes"], root["scenes"]

    source = build("glb", bare)
    converted = encode_model(source, tmp_path / "out.glb", encoder=QUICK, fallback=False)
    assert converted.textures == ()
    assert checked(tmp_path / "out.glb").root == read_model(source).root


def test_a_binary_chunk_that_is_no_buffer_is_not_taken_for_the_first(build: Build, tmp_path: Path) -> None:
    source = build("files")
    root = json.loads(source.read_text())
    both = source.with_name("both.glb")
    both.write_bytes(pack_glb(Chunks(json.dumps(root).encode(), b"other bytes"), "both.glb"))
    encode_model(both, tmp_path / "out" / "out.gltf", encoder=QUICK)
    new = checked(tmp_path / "out" / "out.gltf")
    assert new.root["buffers"] == root["buffers"]
    assert new.view_bytes(0, "a test") == POSITIONS


def test_names_of_buffers_are_such_as_can_be_read(build: Build, tmp_path: Path) -> None:
    encode_model(build("glb"), tmp_path / "at 12:30.gltf", encoder=QUICK, fallback=False)
    assert checked(tmp_path / "at 12:30.gltf").root["buffers"][0]["uri"] == "at%2012_30.bin"
    decode_model(tmp_path / "at 12:30.gltf", tmp_path / "back.glb", encoder=QUICK)


def test_an_output_that_is_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "out.glb").write_bytes(b"mine")
    for convert in (encode_model, decode_model):
        with pytest.raises(OutputExists, match=r"out\.glb: exists already; use --overwrite"):
            convert(tmp_path / "none.glb", tmp_path / "out.glb", encoder=QUICK)


def test_a_source_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(FileMissing) as caught:
        encode_model(tmp_path / "none.glb", tmp_path / "out.glb", encoder=QUICK)
    assert str(caught.value) == f"{tmp_path / 'none.glb'}: cannot be read: No such file or directory"
    with pytest.raises(InvalidArgument, match=r"^https://example\.org/a\.glb: models are read from files"):
        encode_model("https://example.org/a.glb", tmp_path / "out.glb", encoder=QUICK)
