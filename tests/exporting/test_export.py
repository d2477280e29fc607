import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest
import texture2ddecoder
import tifffile
from PIL import Image

import gscodec
from gscodec.errors import FileAccessError, InvalidArgument, MissingExtra, OutputExists
from gscodec.image.arrays import from_array
from gscodec.image.levels import to_values
from gscodec.image.load import load_image
from gscodec.image.transfer import srgb_of_light
from gscodec.model.channels import ChannelGroup, Role

HEIGHT, WIDTH = 27, 42
LEVELS = 6

Pixels = npt.NDArray[Any]


def dds_levels(path: Path) -> tuple[int, list[Pixels]]:
    """DXGI format and levels of a file of blocks, (H, W, 4) RGBA each, by a decoder that is not ours."""
    data = path.read_bytes()
    height, width = struct.unpack_from("<2I", data, 12)
    (n_levels,) = struct.unpack_from("<I", data, 28)
    (dxgi,) = struct.unpack_from("<I", data, 128)
    kind, size = {71: ("bc1", 8), 72: ("bc1", 8), 78: ("bc3", 16), 80: ("bc4", 8), 83: ("bc5", 16)}.get(
        dxgi, ("bc7", 16)
    )
    at, levels = 148, []
    for number in range(n_levels):
        h, w = max(1, height >> number), max(1, width >> number)
        n_bytes = -(-h // 4) * -(-w // 4) * size
        decoded = getattr(texture2ddecoder, f"decode_{kind}")(data[at : at + n_bytes], w, h)
        levels.append(np.frombuffer(decoded, np.uint8).reshape(h, w, 4)[:, :, [2, 1, 0, 3]])
        at += n_bytes
    assert at == len(data)
    return dxgi, levels


@pytest.fixture(scope="module")
def maps(material: Path) -> dict[str, Pixels]:
    with gscodec.open(material) as image:
        return {name: restored.samples for name, restored in image.render_files().items()}


def rms(first: Pixels, second: Pixels) -> float:
    return float(np.sqrt(np.mean((first.astype(np.float64) - second) ** 2)))


def test_maps_become_dds_by_their_role(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    written = gscodec.export(material, tmp_path / "out", to="dds")
    found = {file.path.name: (file.format, file.levels) for file in written}
    assert found == {
        "rock_albedo.dds": ("bc7 srgb", LEVELS),
        "rock_emissive.dds": ("bc7 srgb", LEVELS),
        "rock_normal.dds": ("bc5", LEVELS),
        "rock_opacity.dds": ("bc4", LEVELS),
        "rock_roughness.dds": ("bc4", LEVELS),
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(found)
    dxgi, levels = dds_levels(tmp_path / "out" / "rock_albedo.dds")
    assert dxgi == 99
    assert rms(levels[0][:, :, :3], maps["rock_albedo.png"]) < 4
    dxgi, levels = dds_levels(tmp_path / "out" / "rock_normal.dds")
    assert dxgi == 83
    assert rms(levels[0][:, :, :2], maps["rock_normal.png"][:, :, :2]) < 4
    dxgi, levels = dds_levels(tmp_path / "out" / "rock_roughness.dds")
    assert dxgi == 80
    assert rms(levels[0][:, :, 0], maps["rock_roughness.png"][:, :, 0]) < 4
    _, levels = dds_levels(tmp_path / "out" / "rock_emissive.dds")
    assert rms(levels[0], maps["rock_emissive.png"]) < 8


def test_a_mask_is_exact_in_blocks(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    gscodec.export(material, tmp_path, to="dds", only=["opacity"])
    _, levels = dds_levels(tmp_path / "rock_opacity.dds")
    assert np.array_equal(levels[0][:, :, 0], maps["rock_opacity.png"][:, :, 0])


def test_the_last_level_is_the_mean_light(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    gscodec.export(material, tmp_path, to="dds", only=["albedo"], format="rgba8")
    texels = np.frombuffer((tmp_path / "rock_albedo.dds").read_bytes()[-4:], np.uint8)
    codes = maps["rock_albedo.png"] / 255.0
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4).mean(axis=(0, 1))
    assert texels[:3] == pytest.approx(255 * (1.055 * light ** (1 / 2.4) - 0.055), abs=0.51)
    assert texels[3] == 255


@pytest.mark.parametrize(("form", "n_bytes"), [("bc1", 8), ("bc3", 16), ("bc7", 16)])
def test_a_format_may_be_asked_for(material: Path, tmp_path: Path, form: str, n_bytes: int) -> None:
    (file,) = gscodec.export(material, tmp_path, to="dds", only=["albedo"], format=form, mips=False)
    assert (file.format, file.levels) == (f"{form} srgb", 1)
    assert file.n_bytes == 148 + 7 * 11 * n_bytes
    assert file.path.stat().st_size == file.n_bytes


def test_pillow_opens_what_is_written(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    gscodec.export(material, tmp_path, to="dds", only=["albedo", "roughness"], mips=False)
    with Image.open(tmp_path / "rock_albedo.dds") as image:
        assert rms(np.asarray(image)[:, :, :3], maps["rock_albedo.png"]) < 4
    with Image.open(tmp_path / "rock_roughness.dds") as image:
        assert image.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("only", ["albedo", "emissive"])
def test_decoders_agree_on_bc7(material: Path, tmp_path: Path, only: str) -> None:
    (file,) = gscodec.export(material, tmp_path, to="dds", only=[only])
    _, levels = dds_levels(file.path)
    with Image.open(file.path) as image:
        assert np.array_equal(np.asarray(image.convert("RGBA")), levels[0])


def test_ktx2_holds_the_blocks_of_dds(material: Path, tmp_path: Path) -> None:
    gscodec.export(material, tmp_path, to="dds", only=["normal"])
    gscodec.export(material, tmp_path, to="ktx2", only=["normal"])
    blocks = (tmp_path / "rock_normal.dds").read_bytes()[148:]
    data = (tmp_path / "rock_normal.ktx2").read_bytes()
    index = [struct.unpack_from("<2Q", data, 80 + 24 * number) for number in range(LEVELS)]
    assert b"".join(data[offset : offset + length] for offset, length in index) == blocks


def test_png_is_what_a_decode_gives_and_mips_are_files(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    gscodec.export(material, tmp_path / "one", to="png")
    for name, samples in maps.items():
        with Image.open(tmp_path / "one" / name) as image:
            assert np.array_equal(np.asarray(image).reshape(samples.shape), samples)
    written = gscodec.export(material, tmp_path / "all", to="png", only=["rock_albedo"], mips=True)
    assert [file.path.name for file in written] == [f"rock_albedo_mip{number}.png" for number in range(LEVELS)]
    assert [(file.height, file.width) for file in written[:3]] == [(27, 42), (13, 21), (6, 10)]
    with Image.open(written[1].path) as image:
        assert image.size == (21, 13)


def test_exr_has_colour_as_light_and_bits(material: Path, maps: dict[str, Pixels], tmp_path: Path) -> None:
    gscodec.export(material, tmp_path, to="exr", only=["albedo"], bits=32, mips=True)
    part = OpenEXR.File(str(tmp_path / "rock_albedo_mip0.exr")).channels()["RGB"].pixels
    codes = maps["rock_albedo.png"] / 255.0
    light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)
    assert part.dtype == np.float32
    assert np.abs(part - light).max() < 1e-5
    last = OpenEXR.File(str(tmp_path / f"rock_albedo_mip{LEVELS - 1}.exr")).channels()["RGB"].pixels
    assert last.ravel() == pytest.approx(light.mean(axis=(0, 1)), abs=1e-4)


def test_sixteen_bits_are_not_compressed_and_colour_is_light(material: Path, tmp_path: Path) -> None:
    written = gscodec.export(material, tmp_path, to="ktx2", bits=16)
    assert {file.path.stem: file.format for file in written} == {
        "rock_albedo": "rgba16f",
        "rock_emissive": "rgba16f",
        "rock_normal": "rgba16",
        "rock_opacity": "r16",
        "rock_roughness": "r16",
    }


def hdr_file(folder: Path) -> Path:
    """Light with an alpha and a depth, as OpenEXR, encoded."""
    y, x = np.mgrid[0:16, 0:24] / 24
    channels = {
        "R": 100 * x,
        "G": 50 * y,
        "B": x * y,
        "A": np.minimum(1, x + 0.2),
        "Z": 1000 + 50 * x,
    }
    source = folder / "lamp.exr"
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {name: OpenEXR.Channel(v.astype(np.float16)) for name, v in channels.items()}).write(
        str(source)
    )
    gscodec.encode(source, folder / "lamp.igs", gaussians=60, preset="fast", steps=20)
    return folder / "lamp.igs"


def test_hdr_becomes_half_floats_and_its_layers_files(tmp_path: Path) -> None:
    path = hdr_file(tmp_path)
    written = gscodec.export(path, tmp_path / "out", to="dds")
    assert {file.path.name: file.format for file in written} == {"lamp.dds": "rgba16f", "lamp_Z.dds": "r16f"}
    with gscodec.open(path) as image:
        (restored,) = image.render_files().values()
    texels = np.frombuffer((tmp_path / "out" / "lamp.dds").read_bytes()[148:], "<f2")[: 16 * 24 * 4]
    names = [channel["name"] for channel in restored.entry.exr["channels"]]
    expected = restored.samples[:, :, [names.index(name) for name in "RGBA"]].astype(np.float16)
    assert np.array_equal(texels.reshape(16, 24, 4), expected)
    assert texels.max() > 50
    (whole,) = gscodec.export(path, tmp_path / "out", to="exr")
    assert set(OpenEXR.File(str(whole.path), separate_channels=True).channels()) == {"R", "G", "B", "A", "Z"}
    with pytest.raises(InvalidArgument, match="float samples"):
        gscodec.export(path, tmp_path / "bc", to="dds", format="bc7")


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_flags_say_whether_colour_is_premultiplied(kind: str, tmp_path: Path) -> None:
    y, x = np.mgrid[:16, :16].astype(np.float32) / 16
    samples = np.dstack([np.full((16, 16, 3), (0.5, 0.2, 0.1), np.float32), np.minimum(x, y)])
    samples[:, :, :3] *= samples[:, :, 3:] if kind == "assocalpha" else 1
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric="rgb", extrasamples=[kind])
    gscodec.encode(tmp_path / "in.tif", tmp_path / "in.igs", gaussians=40, preset="fast", steps=20)
    gscodec.export(tmp_path / "in.igs", tmp_path, to="dds")
    gscodec.export(tmp_path / "in.igs", tmp_path, to="ktx2")
    is_premultiplied = kind == "assocalpha"
    dds, ktx2 = ((tmp_path / f"in.{suffix}").read_bytes() for suffix in ("dds", "ktx2"))
    assert struct.unpack_from("<I", dds, 144) == (2 * is_premultiplied,)
    (descriptor,) = struct.unpack_from("<I", ktx2, 48)
    assert ktx2[descriptor + 4 + 11] == is_premultiplied
    colours = np.frombuffer(dds[148:], "<f2")[: 16 * 16 * 4].reshape(16, 16, 4).astype(np.float32)
    straight = colours[8:, 8:, :3] / (colours[8:, 8:, 3:] if is_premultiplied else 1)
    assert np.abs(straight - (0.5, 0.2, 0.1)).max() < 0.06


@pytest.mark.parametrize("to", ["png", "exr"])
def test_mips_of_straight_floats_are_weighted_by_alpha(to: str, tmp_path: Path) -> None:
    samples = np.zeros((16, 16, 4), np.float32)
    samples[:, 8:] = (0.5, 0.2, 0.1, 1.0)
    samples[:, :8, :3] = 40.0  # hidden texels
    tifffile.imwrite(tmp_path / "in.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    gscodec.encode(tmp_path / "in.tif", tmp_path / "in.igs", gaussians=60, preset="fast", steps=60)
    written = gscodec.export(tmp_path / "in.igs", tmp_path, to=to, mips=True)
    last = load_image(written[-1].path)
    values = to_values(last.samples, last.groups)[0, 0]
    assert abs(values[3] - 0.5) < 0.06
    expected = np.asarray((0.5, 0.2, 0.1))
    np.testing.assert_allclose(values[:3], srgb_of_light(expected) if to == "png" else expected, rtol=0.2, atol=0.03)


def test_decode_and_export_have_the_same_mips(material: Path, tmp_path: Path) -> None:
    with gscodec.open(material) as image:
        decoded = [{name: level.samples for name, level in levels.items()} for levels in image.mip_files()]
    assert len(decoded) == LEVELS
    gscodec.export(material, tmp_path / "png", to="png", mips=True)
    gscodec.export(material, tmp_path / "plain", to="dds", format="rgba8")
    gscodec.export(material, tmp_path / "blocks", to="dds", format="bc7")
    for number, levels in enumerate(decoded):
        for name, samples in levels.items():
            stem = Path(name).stem
            picture = np.asarray(Image.open(tmp_path / "png" / f"{stem}_mip{number}.png"))
            np.testing.assert_array_equal(picture.reshape(samples.shape), samples)
            plain = plain_levels(tmp_path / "plain" / f"{stem}.dds")
            _, blocks = dds_levels(tmp_path / "blocks" / f"{stem}.dds")
            np.testing.assert_array_equal(plain[number][:, :, : samples.shape[2]], samples)
            if number < 2:  # steep slopes in a few texels are beyond what a block holds
                assert rms(blocks[number], plain[number]) < 8, "block compression alone"


def plain_levels(path: Path) -> list[Pixels]:
    """Levels (H, W, 4) of a file of uncompressed RGBA."""
    data, at, levels = path.read_bytes(), 148, []
    height, width = struct.unpack_from("<2I", data, 12)
    for number in range(struct.unpack_from("<I", data, 28)[0]):
        h, w = max(1, height >> number), max(1, width >> number)
        levels.append(np.frombuffer(data, np.uint8, 4 * h * w, at).reshape(h, w, 4))
        at += 4 * h * w
    return levels


def test_one_picture_is_called_as_its_file(tmp_path: Path) -> None:
    gscodec.encode(np.zeros((8, 8, 3), np.uint8), tmp_path / "sign.igs", gaussians=5, preset="fast", steps=2)
    (file,) = gscodec.export(tmp_path / "sign.igs", to="ktx2")
    assert file.path == tmp_path / "sign" / "sign.ktx2"


def test_more_than_four_channels_become_textures_of_one(tmp_path: Path) -> None:
    stack = from_array(np.zeros((8, 8, 6), np.uint8), [ChannelGroup("data", Role.DATA, 6)])
    gscodec.encode(stack, tmp_path / "six.igs", gaussians=5, preset="fast", steps=2)
    written = gscodec.export(tmp_path / "six.igs", tmp_path / "out", to="dds")
    assert [file.path.name for file in written] == [f"six_{number}.dds" for number in range(6)]
    assert {file.format for file in written} == {"bc4"}


def test_nothing_is_replaced_unasked(material: Path, tmp_path: Path) -> None:
    gscodec.export(material, tmp_path, to="dds", only=["normal"])
    before = (tmp_path / "rock_normal.dds").read_bytes()
    with pytest.raises(OutputExists, match=r"rock_normal\.dds"):
        gscodec.export(material, tmp_path, to="dds", mips=False)
    assert [path.name for path in tmp_path.iterdir()] == ["rock_normal.dds"]
    gscodec.export(material, tmp_path, to="dds", only=["normal"], mips=False, overwrite=True)
    assert len((tmp_path / "rock_normal.dds").read_bytes()) < len(before)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"to": "tga"}, "not written as 'tga'"),
        ({"to": "dds", "format": "bc6"}, "not known"),
        ({"to": "png", "format": "bc7"}, "exclude"),
        ({"to": "dds", "format": "bc7", "bits": 16}, "exclude"),
        ({"to": "exr", "bits": 8}, "16, 32 bits"),
        ({"to": "dds", "only": ["height"]}, "has no map 'height'"),
        ({"to": "dds", "only": ["albedo"], "format": "bc4"}, "3 channels, and bc4 stores 1"),
        ({"to": "dds", "only": ["emissive"], "format": "bc1"}, "an alpha, and bc1 stores 3"),
        ({"to": "dds", "lod": 9}, "LOD"),
    ],
)
def test_what_cannot_be_is_refused(material: Path, tmp_path: Path, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        gscodec.export(material, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(material: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(FileAccessError, match="is a file"):
        gscodec.export(material, tmp_path / "taken", to="png")
    with pytest.raises(InvalidArgument, match="name a folder"):
        gscodec.export(material.read_bytes(), to="png")


def test_a_missing_etcpak_is_one_line(material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "etcpak", None)
    with pytest.raises(MissingExtra, match=r"pip install 'etcpak>="):
        gscodec.export(material, tmp_path, to="dds")
    gscodec.export(material, tmp_path, to="dds", only=["albedo"], format="rgba8")
