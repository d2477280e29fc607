"""Textures made of channels of maps, at other sizes, with green turned, and supercompressed; read by other decoders."""

import struct
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import texture2ddecoder
from PIL import Image

import gscodec
from gscodec.errors import InvalidArgument, MissingExtra, SourceWarning
from gscodec.exporting.bc6h import bc6h_blocks

HEIGHT, WIDTH = 27, 42

Pixels = npt.NDArray[Any]


@pytest.fixture(scope="module")
def maps(material: Path) -> dict[str, Pixels]:
    with gscodec.open(material) as image:
        return {name: restored.samples for name, restored in image.render_files().items()}


def picture(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image)


def ktx2_levels(path: Path) -> tuple[dict[str, int], list[bytes]]:
    """Fields of the header, and the levels, each unpacked by another zstd than the one that packed it."""
    data = path.read_bytes()
    names = ("vk", "type_size", "width", "height", "depth", "layers", "faces", "levels", "scheme")
    header = dict(zip(names, struct.unpack_from("<9I", data, 12), strict=True))
    levels = []
    for number in range(header["levels"]):
        offset, length, whole = struct.unpack_from("<3Q", data, 80 + 24 * number)
        level = data[offset : offset + length]
        levels.append(bytes(imagecodecs.zstd_decode(level)) if header["scheme"] == 2 else level)
        assert len(levels[-1]) == whole
    return header, levels


def test_channels_of_maps_become_one_texture(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    packing = "mask=roughness.r,1-opacity,0.5,rock_albedo.png.g"
    written = gscodec.export(material, tmp_path, to="png", pack=[packing])
    assert sorted(file.path.name for file in written) == ["mask.png", "rock_emissive.png", "rock_normal.png"]
    pixels = picture(tmp_path / "mask.png")
    assert pixels.shape == (HEIGHT, WIDTH, 4)
    np.testing.assert_array_equal(pixels[:, :, 0], maps["rock_roughness.png"][:, :, 0])
    np.testing.assert_array_equal(pixels[:, :, 1], 255 - maps["rock_opacity.png"][:, :, 0])
    assert (pixels[:, :, 2] == 128).all()
    np.testing.assert_array_equal(pixels[:, :, 3], maps["rock_albedo.png"][:, :, 1])


def test_a_packed_texture_has_blocks_and_mips(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    (orm,) = gscodec.export(
        material, tmp_path, to="dds", only=["normal"], pack=["orm=opacity.r,roughness,alpha.r"], mips=False
    )[1:]
    assert (orm.path.name, orm.format, orm.source) == ("orm.dds", "bc7", "orm.png")
    pixels = picture(orm.path)
    wanted = np.stack([maps["rock_opacity.png"][:, :, 0], maps["rock_roughness.png"][:, :, 0]], axis=2)
    assert np.abs(pixels[:, :, :2].astype(int) - wanted).mean() < 3
    assert (pixels[:, :, 3] >= 254).all()


@pytest.mark.parametrize(
    ("packing", "fact"),
    [
        ("orm", "is not a packing"),
        ("orm=", "is not a packing"),
        ("=ao", "is not a packing"),
        ("orm=a,b,c,d,e", "is not a packing"),
        ("orm=0,1", "no map"),
        ("orm=1.5,ao", "from 0 to 1"),
        ("orm=height.r", "has no map 'height'"),
        ("orm=roughness.a", "has no channel a"),
        ("../orm=roughness,2.0", "from 0 to 1|has no map"),
    ],
)
def test_packings_that_cannot_be_made_are_refused(material: Path, packing: str, fact: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=fact):
        gscodec.export(material, tmp_path / "out", to="png", pack=[packing])
    assert not (tmp_path / "out").exists()


def test_a_packing_does_not_lead_out_of_the_folder(material: Path, tmp_path: Path) -> None:
    written = gscodec.export(material, tmp_path / "out", to="png", only=["normal"], pack=["../../orm=roughness"])
    assert {file.path.parent for file in written} == {tmp_path / "out"}


def test_textures_may_have_another_size(material: Path, tmp_path: Path) -> None:
    written = gscodec.export(material, tmp_path, to="dds", size=(16, 32), pack=["rm=roughness,opacity,0"])
    assert {(file.width, file.height) for file in written} == {(32, 16)}
    assert {picture(file.path).shape[:2] for file in written} == {(16, 32)}


def test_green_is_turned_where_the_convention_differs(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    gscodec.export(material, tmp_path / "dx", to="png", normals="dx")
    gscodec.export(material, tmp_path / "gl", to="png", normals="gl")
    normal = maps["rock_normal.png"]
    np.testing.assert_array_equal(picture(tmp_path / "gl" / "rock_normal.png"), normal)
    turned = picture(tmp_path / "dx" / "rock_normal.png")
    np.testing.assert_array_equal(turned[:, :, 1], 255 - normal[:, :, 1])
    np.testing.assert_array_equal(turned[:, :, [0, 2]], normal[:, :, [0, 2]])
    np.testing.assert_array_equal(picture(tmp_path / "dx" / "rock_albedo.png"), maps["rock_albedo.png"])
    gscodec.export(material, tmp_path, to="dds", only=["normal"], normals="dx", mips=False)
    data = (tmp_path / "rock_normal.dds").read_bytes()[148:]
    blocks = np.frombuffer(texture2ddecoder.decode_bc5(data, WIDTH, HEIGHT), np.uint8).reshape(HEIGHT, WIDTH, 4)
    assert np.abs(blocks[:, :, 1].astype(int) - turned[:, :, 1]).mean() < 4


def test_ktx2_is_supercompressed_by_zstd(material: Path, tmp_path: Path) -> None:
    gscodec.export(material, tmp_path / "plain", to="ktx2")
    gscodec.export(material, tmp_path / "zstd", to="ktx2", zstd=19)
    for path in (tmp_path / "plain").iterdir():
        plain, levels = ktx2_levels(path)
        packed, unpacked = ktx2_levels(tmp_path / "zstd" / path.name)
        assert unpacked == levels
        assert packed == plain | {"scheme": 2}
    _, levels = ktx2_levels(tmp_path / "zstd" / "rock_opacity.ktx2")
    blocks = texture2ddecoder.decode_bc4(levels[0], WIDTH, HEIGHT)
    assert set(np.frombuffer(blocks, np.uint8)[2::4]) == {0, 255}
    smaller = [(tmp_path / name / "rock_opacity.ktx2").stat().st_size for name in ("zstd", "plain")]
    assert smaller[0] < smaller[1]
    for how in ({"to": "dds", "zstd": 3}, {"to": "ktx2", "zstd": 23}):
        with pytest.raises(InvalidArgument, match="zstd"):
            gscodec.export(material, tmp_path / "x", **how)  # type: ignore[arg-type]


def test_a_missing_zstd_is_named(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtra, match=r"pip install .*zstandard"):
        gscodec.export(material, tmp_path, to="ktx2", zstd=3)


def light(height: int, width: int) -> npt.NDArray[np.float32]:
    y, x = np.mgrid[0:height, 0:width] / width
    rise = np.exp2(8 * x + 2 * np.sin(5 * y))
    return np.stack([rise, 0.7 * rise, 0.2 * rise + 0.05], axis=2).astype(np.float32)


def test_blocks_of_bc6h_are_read_by_others() -> None:
    wanted = light(30, 45)
    data = bc6h_blocks(wanted)
    assert len(data) == 8 * 12 * 16
    read = np.asarray(imagecodecs.bcn_decode(data, 6, shape=(32, 48, 3)))[:30, :45].astype(np.float32)
    stops = np.abs(np.log2(read) - np.log2(wanted))
    assert np.sqrt((stops**2).mean()) < 0.03
    assert stops.max() < 0.2
    shown = np.frombuffer(texture2ddecoder.decode_bc6(data, 48, 32), np.uint8).reshape(32, 48, 4)[:30, :45, [2, 1, 0]]
    assert np.abs(shown / 255 - np.clip(wanted, 0, 1)).mean() < 0.01  # a few texels below 1 it shows as 1


@pytest.mark.parametrize("value", [0.0, 1.0, 65504.0, -3.0, np.inf, np.nan])
def test_flat_blocks_and_limits_of_bc6h(value: float) -> None:
    data = bc6h_blocks(np.full((4, 4, 3), value, np.float32))
    read = np.asarray(imagecodecs.bcn_decode(data, 6, shape=(4, 4, 3))).astype(np.float32)
    wanted = float(np.clip(np.nan_to_num(value), 0, 65504))
    assert np.abs(read - wanted).max() <= 0.02 * wanted


def test_hdr_becomes_bc6h_in_dds_and_ktx2(tmp_path: Path) -> None:
    with pytest.warns(SourceWarning, match="linear light"):
        gscodec.encode(light(16, 24) * 10, tmp_path / "sun.igs", gaussians=80, preset="fast", steps=20)
    with gscodec.open(tmp_path / "sun.igs") as image:
        wanted = np.asarray(image.render(), np.float32)
    (file,) = gscodec.export(tmp_path / "sun.igs", tmp_path, to="dds", format="bc6h", mips=False)
    assert (file.format, file.n_bytes) == ("bc6h", 148 + 4 * 6 * 16)
    data = file.path.read_bytes()
    assert struct.unpack_from("<I", data, 128) == (95,)
    read = np.asarray(imagecodecs.bcn_decode(data[148:], 6, shape=(16, 24, 3))).astype(np.float32)
    assert np.median(np.abs(read / np.maximum(wanted, 1e-3) - 1)) < 0.05
    with Image.open(file.path) as image_file:
        assert image_file.size == (24, 16)
        image_file.load()
    (ktx2,) = gscodec.export(tmp_path / "sun.igs", tmp_path, to="ktx2", format="bc6h", mips=False)
    header, levels = ktx2_levels(ktx2.path)
    assert header["vk"] == 143
    assert levels == [data[148:]]


def test_bc6h_is_for_floats(material: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="float colour"):
        gscodec.export(material, tmp_path, to="dds", format="bc6h")
