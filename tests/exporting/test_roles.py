"""Single maps and odd normal maps as textures, read back by a decoder that is not ours."""

import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
import texture2ddecoder
from PIL import Image

import gscodec
from gscodec.errors import InvalidArgument, SourceWarning
from gscodec.image.normals import Meaning, meaning_in, meaning_of
from gscodec.model.channels import ChannelGroup, Role

Levels = npt.NDArray[Any]
SIDE: Final = 64
BC4, BC5, BC7, BC7_SRGB = 80, 83, 98, 99
DATA: Final = Path(__file__).parent / "data"

_Y, _X = np.mgrid[0:SIDE, 0:SIDE] / SIDE


def vectors(slope: float) -> Levels:
    x, y = slope * np.sin(7 * _X), slope * np.cos(6 * _Y)
    return np.stack([x, y, np.sqrt(1 - x * x - y * y)], axis=2)


def codes(values: Levels) -> Levels:
    return np.asarray(np.clip(values, 0, 1) * 255 + 0.5, np.uint8)


def exported(source: Path, folder: Path, **how: Any) -> tuple[int, list[Levels]]:
    """DXGI format and levels, (H, W, 4) RGBA each, of a picture's texture."""
    gscodec.encode(source, folder / "m.igs", bpp=8, preset="fast", steps=120)
    (file,) = gscodec.export(folder / "m.igs", folder / "out", to="dds", **how)
    return dds(file.path)


def dds(path: Path) -> tuple[int, list[Levels]]:
    data = path.read_bytes()
    height, width = struct.unpack_from("<2I", data, 12)
    (n_levels,) = struct.unpack_from("<I", data, 28)
    (dxgi,) = struct.unpack_from("<I", data, 128)
    kind, size = {BC4: ("bc4", 8), BC5: ("bc5", 16)}.get(dxgi, ("bc7", 16))
    at, levels = 148, []
    for number in range(n_levels):
        h, w = max(1, height >> number), max(1, width >> number)
        decoded = getattr(texture2ddecoder, f"decode_{kind}")(data[at:], w, h)
        levels.append(np.frombuffer(decoded, np.uint8).reshape(h, w, 4)[:, :, [2, 1, 0, 3]])
        at += -(-h // 4) * -(-w // 4) * size
    return dxgi, levels


def error(found: Levels, wanted: Levels) -> float:
    return float(np.abs(found.astype(float) - wanted).mean())


def test_a_normal_map_alone_is_bc5_and_its_mips_are_means_of_vectors(tmp_path: Path) -> None:
    dxgi, levels = exported(DATA / "brick_nor.png", tmp_path)
    assert dxgi == BC5
    with Image.open(DATA / "brick_nor.png") as image:
        source = np.asarray(image).astype(float)
    assert error(levels[0][:, :, :2], source[:, :, :2]) < 2
    mean = (source / 127.5 - 1).reshape(2, 32, 2, 32, 3).mean(axis=(1, 3))
    mean /= np.linalg.norm(mean, axis=2, keepdims=True)
    assert levels[5].shape == (2, 2, 4)
    assert np.abs(levels[5][:, :, :2] - (mean[:, :, :2] + 1) * 127.5).max() < 4


def test_an_opaque_alpha_beside_normals_is_left_out(tmp_path: Path) -> None:
    source = codes(np.concatenate([0.5 + 0.5 * vectors(0.6), np.ones((SIDE, SIDE, 1))], axis=2))
    Image.fromarray(source).save(tmp_path / "a_nor.png")
    dxgi, levels = exported(tmp_path / "a_nor.png", tmp_path)
    assert dxgi == BC5
    assert error(levels[0][:, :, :2], source[:, :, :2]) < 2


def test_a_gray_roughness_alone_is_bc4(tmp_path: Path) -> None:
    gray = codes(0.5 + 0.4 * np.sin(9 * _X * _Y))
    Image.fromarray(np.repeat(gray[:, :, None], 3, axis=2)).save(tmp_path / "brick_rough.png")
    dxgi, levels = exported(tmp_path / "brick_rough.png", tmp_path)
    assert dxgi == BC4
    assert error(levels[0][:, :, 0], gray) < 2
    assert error(levels[-1][0, 0, 0], gray.mean()) < 2, "the mean of codes, not of light"


def test_a_photograph_with_the_name_of_a_map_is_srgb(tmp_path: Path) -> None:
    shade = 0.2 + 0.7 * _X
    Image.fromarray(codes(np.stack([shade, shade * 0.8, shade * (0.5 + 0.3 * _Y)], axis=2))).save(
        tmp_path / "heavy_metal.png"
    )
    with pytest.warns(SourceWarning, match="is not gray"):
        assert exported(tmp_path / "heavy_metal.png", tmp_path)[0] == BC7_SRGB


@pytest.mark.parametrize("fill", [0, 127, 128, 255])
def test_normals_of_two_channels_keep_their_x_and_y(tmp_path: Path, fill: int) -> None:
    source = codes(0.5 + 0.5 * vectors(0.68))
    source[:, :, 2] = fill
    Image.fromarray(source).save(tmp_path / "w_nor.png")
    dxgi, levels = exported(tmp_path / "w_nor.png", tmp_path)
    assert dxgi == BC5
    assert error(levels[0][:, :, :2], source[:, :, :2]) < 2
    half = source.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean(axis=(1, 3))
    assert error(levels[1][:, :, :2], half[:, :, :2]) < 2
    with gscodec.open(tmp_path / "m.igs") as image:
        (back,) = image.render_files().values()
    assert (back.samples[:, :, 2] == fill).all()


def test_the_case_of_a_steep_map_of_two_channels(tmp_path: Path) -> None:
    with Image.open(DATA / "w_nor.png") as image:
        source = np.asarray(image)
    gscodec.encode([DATA / "w_col.png", DATA / "w_nor.png"], tmp_path / "w.igs", bpp=10, preset="fast", steps=150)
    gscodec.export(tmp_path / "w.igs", tmp_path, to="dds", only=["normal"])
    dxgi, levels = dds(tmp_path / "w_nor.dds")
    assert dxgi == BC5
    assert error(levels[0][:, :, :2], source[:, :, :2]) < 2


@pytest.mark.parametrize("layout", ["signed", "codes", "two", "xyz"])
def test_normals_of_floats_are_bc5(tmp_path: Path, layout: str) -> None:
    found = vectors(0.6)
    stored = 0.5 + 0.5 * found if layout == "codes" else found
    names = {"two": "RG", "xyz": "XYZ"}.get(layout, "RGB")
    channels = {name: np.ascontiguousarray(stored[:, :, k].astype(np.float16)) for k, name in enumerate(names)}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(tmp_path / "a_nor.exr"))
    dxgi, levels = exported(tmp_path / "a_nor.exr", tmp_path)
    assert dxgi == BC5
    assert error(levels[0][:, :, :2], (found[:, :, :2] + 1) * 127.5) < 2
    (file,) = gscodec.export(tmp_path / "m.igs", tmp_path / "half", to="ktx2", bits=16)
    assert file.format == "rgba16f"
    (whole,) = gscodec.export(tmp_path / "m.igs", tmp_path / "exr", to="exr")
    assert set(OpenEXR.File(str(whole.path), separate_channels=True).channels()) == set(names)
    (shown,) = gscodec.export(tmp_path / "m.igs", tmp_path / "png", to="png", bits=8)
    with Image.open(shown.path) as image:
        assert image.mode == "RGB"
        assert error(np.asarray(image), (found + 1) * 127.5) < 3


def test_normals_of_object_space_keep_three_channels(tmp_path: Path) -> None:
    angle = 6 * _X
    found = np.stack([np.sin(angle), 0.4 * _Y, np.cos(angle)], axis=2)
    found /= np.linalg.norm(found, axis=2, keepdims=True)
    source = codes(0.5 + 0.5 * found)
    Image.fromarray(source).save(tmp_path / "a_nor.png")
    dxgi, levels = exported(tmp_path / "a_nor.png", tmp_path)
    assert dxgi == BC7
    assert error(levels[0][:, :, :3], source) < 3
    with pytest.raises(InvalidArgument, match="3 channels, and bc5 stores 2"):
        gscodec.export(tmp_path / "m.igs", tmp_path / "bc5", to="dds", format="bc5")


def test_four_channels_of_data_have_no_alpha(tmp_path: Path) -> None:
    smooth = 0.5 + 0.4 * np.sin(8 * _Y)
    source = codes(np.stack([_X > 0.5, _X > 0.5, _X > 0.5, np.where(_X > 0.7, 0, smooth)], axis=2))
    Image.fromarray(source).save(tmp_path / "a_metallicSmoothness.png")
    dxgi, levels = exported(tmp_path / "a_metallicSmoothness.png", tmp_path)
    assert dxgi == BC7
    assert error(levels[0], source) < 6
    half = source.reshape(SIDE // 2, 2, SIDE // 2, 2, 4).astype(float).mean(axis=(1, 3))
    assert error(levels[1], half) < 6, "what has a smoothness of 0 counts as all else"
    (shown,) = gscodec.export(tmp_path / "m.igs", tmp_path / "png", to="png")
    with Image.open(shown.path) as image:
        assert image.mode == "RGBA"


def test_what_the_third_channel_means() -> None:
    unit = (0.5 + 0.5 * vectors(0.6)).astype(np.float32)
    assert meaning_of(unit) is Meaning.UNIT
    assert meaning_of(unit[:, :, :2]) is Meaning.XY
    assert meaning_of((0.5 + 0.8 * (unit - 0.5)).astype(np.float32)) is Meaning.VECTOR
    filled = unit.copy()
    filled[:, :, 2] = 0
    assert meaning_of(filled) is Meaning.XY
    noise = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
    assert meaning_of(np.concatenate([unit[:, :, :2], noise[:, :, 2:]], axis=2)) is Meaning.XY
    assert meaning_in(unit, ChannelGroup("a", Role.DATA)) is None
