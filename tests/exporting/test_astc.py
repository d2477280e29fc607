"""ASTC textures: their header fields by the tables of KTX 2.0, their texels by a decoder that is not the encoder's."""

import struct
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
import texture2ddecoder
import zstandard
from PIL import Image

import gscodec
from gscodec.errors import InvalidArgument, MissingExtra

Pixels = npt.NDArray[Any]
SIDE: Final = 150  # no multiple of any block
VK: Final = {"4x4": 157, "5x5": 161, "6x6": 165, "8x8": 171, "10x10": 179, "12x12": 183}
"""VkFormat of VK_FORMAT_ASTC_*_UNORM_BLOCK; that of sRGB is one more."""


def ktx2(path: Path) -> tuple[dict[str, int], list[Pixels]]:
    """Header fields and decoded levels, (H, W, 4) RGBA each."""
    data = path.read_bytes()
    names = ["vk", "type_size", "width", "height", "depth", "layers", "faces", "levels", "scheme"]
    found = dict(zip(names, struct.unpack_from("<9I", data, 12), strict=True))
    (descriptor,) = struct.unpack_from("<I", data, 48)
    found["model"], found["primaries"], found["transfer"], found["alpha"] = data[descriptor + 12 : descriptor + 16]
    block = data[descriptor + 16] + 1
    assert data[descriptor + 17] + 1 == block
    levels = []
    for number in range(found["levels"]):
        offset, length, whole = struct.unpack_from("<3Q", data, 80 + 24 * number)
        texels = data[offset : offset + length]
        texels = zstandard.ZstdDecompressor().decompress(texels) if found["scheme"] == 2 else texels
        height, width = max(1, found["height"] >> number), max(1, found["width"] >> number)
        assert len(texels) == whole == -(-height // block) * -(-width // block) * 16
        bgra = np.frombuffer(texture2ddecoder.decode_astc(texels, width, height, block, block), np.uint8)
        levels.append(bgra.reshape(height, width, 4)[:, :, [2, 1, 0, 3]])
    return found, levels


def psnr(first: Pixels, second: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2)))


def draw_maps() -> dict[str, Pixels]:
    """Colour, colour with alpha, tangent-space normals, a packed map and a single channel."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    slopes = np.stack([0.5 * np.sin(17 * x + 5 * y), 0.5 * np.cos(15 * y)], axis=2)
    normals = np.concatenate([slopes, np.sqrt(1 - np.square(slopes).sum(axis=2, keepdims=True))], axis=2)
    maps = {
        "rock_albedo": np.stack([x, y, 0.5 + 0.3 * np.sin(23 * x * y)], axis=2),
        "rock_emissive": np.stack([x, 1 - x, y, 0.5 + 0.5 * np.sin(9 * y)], axis=2),
        "rock_normal": 0.5 + 0.5 * normals,
        "rock_roughness": 0.5 + 0.4 * np.sin(19 * x * y),
        "rock_orm": np.stack([x * y, 0.5 + 0.4 * np.sin(9 * x), (y > 0.5) * 0.8], axis=2),
    }
    return {name: np.asarray(np.clip(values, 0, 1) * 255 + 0.5, np.uint8) for name, values in maps.items()}


@pytest.fixture(scope="module")
def rock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of five maps as rock.igs. Read only."""
    folder = tmp_path_factory.mktemp("rock")
    for name, texels in draw_maps().items():
        Image.fromarray(texels).save(folder / f"{name}.png")
    path = tmp_path_factory.mktemp("igs") / "rock.igs"
    gscodec.encode(folder, path, gaussians=400, preset="fast", steps=60)
    return path


@pytest.fixture(scope="module")
def decoded(rock: Path) -> dict[str, list[Pixels]]:
    """Levels of each map before compression."""
    with gscodec.open(rock) as image:
        mips = list(image.mip_files())
    return {Path(name).stem: [levels[name].samples for levels in mips] for name in mips[0]}


@pytest.mark.parametrize(
    ("block", "bound"), [("4x4", 40), ("5x5", 38), ("6x6", 37), ("8x8", 34), ("10x10", 31), ("12x12", 28)]
)
def test_maps_become_astc_by_their_role(
    rock: Path, decoded: dict[str, list[Pixels]], tmp_path: Path, block: str, bound: float
) -> None:
    written = gscodec.export(rock, tmp_path, to="ktx2", format=f"astc-{block}")
    assert {file.path.stem: file.format for file in written} == {
        "rock_albedo": f"astc-{block} srgb",
        "rock_emissive": f"astc-{block} srgb",
        "rock_normal": f"astc-{block}",
        "rock_orm": f"astc-{block}",
        "rock_roughness": f"astc-{block}",
    }
    channels = {"rock_normal": [0, 3], "rock_roughness": [0], "rock_emissive": [0, 1, 2, 3]}
    for file in written:
        name = file.path.stem
        fields, levels = ktx2(file.path)
        srgb = name in {"rock_albedo", "rock_emissive"}
        assert fields["vk"] == VK[block] + srgb
        assert (fields["model"], fields["primaries"], fields["transfer"], fields["alpha"]) == (162, srgb, 1 + srgb, 0)
        assert (fields["type_size"], fields["width"], fields["height"], fields["depth"]) == (1, SIDE, SIDE, 0)
        assert (fields["layers"], fields["faces"], fields["scheme"], fields["levels"]) == (0, 1, 0, file.levels)
        assert file.levels == len(decoded[name]) == SIDE.bit_length()
        for level, wanted in zip(levels[:2], decoded[name][:2], strict=True):
            stored = level[:, :, channels.get(name, [0, 1, 2])]
            assert psnr(stored, wanted[:, :, : stored.shape[2]]) > bound, (name, level.shape)


def test_fewer_channels_are_luminance_and_alpha(rock: Path, tmp_path: Path) -> None:
    gscodec.export(rock, tmp_path, to="ktx2", format="astc-6x6", only=["normal", "roughness", "albedo"])
    _, (normal, *_) = ktx2(tmp_path / "rock_normal.ktx2")
    _, (roughness, *_) = ktx2(tmp_path / "rock_roughness.ktx2")
    _, (albedo, *_) = ktx2(tmp_path / "rock_albedo.ktx2")
    for gray in (normal, roughness):
        assert (gray[:, :, 1] == gray[:, :, 0]).all()
        assert (gray[:, :, 2] == gray[:, :, 0]).all()
    assert normal[:, :, 3].min() < 100
    assert roughness[:, :, 3].min() == albedo[:, :, 3].min() == 255


def test_normals_keep_their_angle(rock: Path, decoded: dict[str, list[Pixels]], tmp_path: Path) -> None:
    gscodec.export(rock, tmp_path, to="ktx2", format="astc-6x6", only=["normal"])
    _, (level, *_) = ktx2(tmp_path / "rock_normal.ktx2")
    xy = level[:, :, [0, 3]] / 127.5 - 1
    found = np.dstack([xy, np.sqrt(np.maximum(0, 1 - np.square(xy).sum(axis=2)))])
    wanted = decoded["rock_normal"][0] / 127.5 - 1
    wanted /= np.linalg.norm(wanted, axis=2, keepdims=True)
    angles = np.degrees(np.arccos(np.clip((found * wanted).sum(axis=2), -1, 1)))
    assert np.sqrt(np.square(angles).mean()) < 2


def test_zstd_packs_the_same_blocks(rock: Path, tmp_path: Path) -> None:
    how: dict[str, Any] = {"to": "ktx2", "format": "astc-8x8", "only": ["albedo"]}
    (plain,) = gscodec.export(rock, tmp_path / "plain", **how, threads=1)
    (packed,) = gscodec.export(rock, tmp_path / "packed", **how, threads=2, zstd=10)
    (fields, first), (packed_fields, second) = ktx2(plain.path), ktx2(packed.path)
    assert (fields["scheme"], packed_fields["scheme"]) == (0, 2)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_pair_of_packed_channels_is_luminance_and_alpha(rock: Path, tmp_path: Path) -> None:
    gscodec.export(rock, tmp_path, to="ktx2", format="astc-4x4", pack=["pair=roughness.r,albedo.g"], mips=False)
    with gscodec.open(rock) as image:
        maps = {name: restored.samples for name, restored in image.render_files().items()}
    fields, (level,) = ktx2(tmp_path / "pair.ktx2")
    assert fields["vk"] == VK["4x4"]
    assert psnr(level[:, :, 0], maps["rock_roughness.png"][:, :, 0]) > 36
    assert psnr(level[:, :, 3], maps["rock_albedo.png"][:, :, 1]) > 36


def test_normals_of_floats_become_astc_and_light_does_not(tmp_path: Path) -> None:
    y, x = np.mgrid[0:24, 0:24] / 24
    xy = np.stack([0.4 * np.sin(7 * x), 0.4 * np.cos(6 * y)], axis=2)
    values = np.dstack([xy, np.sqrt(1 - np.square(xy).sum(axis=2))])
    for name in ("a_nor", "sky"):
        channels = {c: np.ascontiguousarray(values[:, :, k].astype(np.float16)) for k, c in enumerate("RGB")}
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, channels).write(str(tmp_path / f"{name}.exr"))
        gscodec.encode(tmp_path / f"{name}.exr", tmp_path / f"{name}.igs", bpp=8, preset="fast", steps=60)
    (file,) = gscodec.export(tmp_path / "a_nor.igs", tmp_path, to="ktx2", format="astc-4x4")
    _, (level, *_) = ktx2(file.path)
    assert np.abs(level[:, :, [0, 3]] - (xy + 1) * 127.5).mean() < 2
    with pytest.raises(InvalidArgument, match="float samples, which astc-4x4 cannot store"):
        gscodec.export(tmp_path / "sky.igs", tmp_path, to="ktx2", format="astc-4x4")


def test_dds_has_no_astc(rock: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"dds files have no format astc-4x4: use ktx2"):
        gscodec.export(rock, tmp_path / "out", to="dds", format="astc-4x4")
    assert not (tmp_path / "out").exists()


def test_a_missing_encoder_is_one_line(rock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "astc_encoder", None)
    with pytest.raises(MissingExtra, match=r"ASTC needs astc-encoder-py: pip install .*'astc-encoder-py>="):
        gscodec.export(rock, tmp_path, to="ktx2", format="astc-6x6", only=["normal"])
