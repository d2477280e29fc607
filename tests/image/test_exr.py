"""OpenEXR: luminance and chroma, windows, attributes, ids, and the whole range of floats."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from gscodec.encoding.api import encode
from gscodec.errors import CorruptField, SourceWarning, UnsupportedImage
from gscodec.format.files import FileEntry, pack_files, unpack_files
from gscodec.image.file_types.exr_chroma import REC_709, luminance_weights
from gscodec.image.file_types.exr_header import Attribute, read_headers
from gscodec.image.levels import to_values
from gscodec.image.load import load_image
from gscodec.image.save import save_image
from gscodec.image.stack import ImageStack
from gscodec.model.channels import Role

LARGEST = float(np.finfo(np.float32).max)


def write(path: Path, channels: dict[str, Any], **header: object) -> Path:
    OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, dict(channels)).write(str(path))
    return path


def values(stack: ImageStack) -> np.ndarray:
    return to_values(stack.samples, stack.groups)


def saved(stack: ImageStack, path: Path) -> Path:
    save_image(path, values(stack), stack.groups, stack.icc, exr=stack.files[0].exr)
    return path


def window(left: int, top: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([left, top], np.int32), np.array([left + width - 1, top + height - 1], np.int32)


def attribute(name: str, kind: str, data: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data


def header_of(planes: dict[str, tuple[np.ndarray, int]], shape: tuple[int, int], *more: bytes) -> bytes:
    """A header without its version, of float channels with their sampling."""
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, planes[name][1], planes[name][1])
        for name in sorted(planes)
    )
    box = struct.pack("<4i", 0, 0, shape[1] - 1, shape[0] - 1)
    lines = [
        attribute("channels", "chlist", listed + b"\0"),
        attribute("compression", "compression", b"\0"),
        attribute("dataWindow", "box2i", box),
        attribute("displayWindow", "box2i", box),
        attribute("lineOrder", "lineOrder", b"\0"),
        attribute("pixelAspectRatio", "float", struct.pack("<f", 1)),
        attribute("screenWindowCenter", "v2f", bytes(8)),
        attribute("screenWindowWidth", "float", struct.pack("<f", 1)),
        *more,
    ]
    return b"".join(lines) + b"\0"


def joined(version: int, header: bytes, chunks: list[bytes]) -> bytes:
    """A file of a header and its chunks, with their offsets in between."""
    at = 8 + len(header) + 8 * len(chunks)
    offsets = []
    for chunk in chunks:
        offsets.append(at)
        at += len(chunk)
    head = struct.pack("<II", 20000630, version) + header
    return head + struct.pack(f"<{len(chunks)}Q", *offsets) + b"".join(chunks)


def subsampled(planes: dict[str, tuple[np.ndarray, int]], shape: tuple[int, int], *more: bytes) -> bytes:
    """A scanline file without compression; the module for Python writes channels of one size only."""
    chunks = []
    for y in range(shape[0]):
        rows = [planes[name] for name in sorted(planes)]
        data = b"".join(plane[y // step].astype("<f4").tobytes() for plane, step in rows if y % step == 0)
        chunks.append(struct.pack("<ii", y, len(data)) + data)
    return joined(2, header_of(planes, shape, *more), chunks)


def chroma_file(rgb: np.ndarray, prefix: str = "", primaries: tuple[float, ...] | None = None) -> bytes:
    """Y, RY and BY of (H, W, 3) colour, chroma at every second pixel."""
    y = rgb @ luminance_weights(primaries or REC_709)
    ry, by = ((rgb[:, :, c] - y) / y for c in (0, 2))
    planes = {f"{prefix}Y": (y, 1), f"{prefix}RY": (ry[::2, ::2], 2), f"{prefix}BY": (by[::2, ::2], 2)}
    more = [attribute("chromaticities", "chromaticities", struct.pack("<8f", *primaries))] if primaries else []
    return subsampled(planes, y.shape, *more)


def test_the_weights_of_rec_709_are_the_known_ones() -> None:
    np.testing.assert_allclose(luminance_weights(REC_709), (0.2126, 0.7152, 0.0722), atol=2e-4)


@pytest.mark.parametrize("prefix", ["", "diffuse."])
@pytest.mark.parametrize("shape", [(32, 32), (18, 22)])
def test_luminance_and_chroma_become_colour(prefix: str, shape: tuple[int, int]) -> None:
    light = np.geomspace(0.05, 4, shape[0] * shape[1]).reshape(*shape, 1)
    rgb = light * np.array([0.8, 0.3, 0.1])
    with pytest.warns(SourceWarning, match="luminance and chroma"):
        stack = load_image(chroma_file(rgb, prefix))
    (group,) = stack.groups
    assert (group.role, group.n_channels) == (Role.COLOR, 3)
    np.testing.assert_allclose(values(stack), rgb, rtol=2e-3)
    names = [channel["name"] for channel in stack.files[0].exr["channels"]]
    assert names == [f"{prefix}{each}" for each in "RGB"]


def test_chroma_goes_by_the_chromaticities_of_the_file() -> None:
    wide = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)  # ACES AP0
    rgb = np.full((8, 8, 1), 0.7) * np.array([0.9, 0.4, 0.2])
    with pytest.warns(SourceWarning):
        stack = load_image(chroma_file(rgb, primaries=wide))
    np.testing.assert_allclose(values(stack), rgb, rtol=2e-3)


def test_smooth_chroma_is_what_the_filter_gives_between_samples() -> None:
    x = np.arange(64) / 64
    rgb = np.stack(np.broadcast_arrays(0.5 + 0.3 * np.sin(5 * x), 0.5, 0.5 + 0.3 * np.cos(5 * x)), axis=-1)
    with pytest.warns(SourceWarning):
        stack = load_image(chroma_file(np.broadcast_to(rgb, (64, 64, 3))))
    np.testing.assert_allclose(values(stack)[16:48, 16:48], np.broadcast_to(rgb, (64, 64, 3))[16:48, 16:48], atol=3e-3)


def test_other_subsampled_channels_stay_where_they_are() -> None:
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32), (16, 16)).copy()
    data = subsampled({"Z": (ramp[::2, ::2], 2), "Y": (ramp + 1, 1)}, (16, 16))
    with pytest.warns(SourceWarning, match="subsampled"):
        stack = load_image(data)
    depth = values(stack)[:, :, 1]
    np.testing.assert_allclose(depth[:, :15], ramp[:, :15], atol=1e-4)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".hdr"])
def test_other_file_types_show_the_display_window(suffix: str, tmp_path: Path) -> None:
    rgb = {name: np.full((48, 64), 0.5, np.float32) for name in "RGB"}
    path = write(tmp_path / "a.exr", rgb, dataWindow=window(20, 10, 64, 48), displayWindow=window(0, 0, 128, 96))
    out = load_image(saved(load_image(path), tmp_path / f"out{suffix}"))
    assert out.samples.shape[:2] == (96, 128)
    shown = values(out).max(axis=2) > 0
    wanted = np.zeros((96, 128), bool)
    wanted[10:58, 20:84] = True
    np.testing.assert_array_equal(shown, wanted)


def test_what_hangs_over_the_display_window_is_cut_and_comes_back_in_openexr(tmp_path: Path) -> None:
    ramp = np.arange(20 * 30, dtype=np.float32).reshape(20, 30) / 600
    data, shown = window(-4, -3, 30, 20), window(0, 0, 22, 14)
    stack = load_image(write(tmp_path / "a.exr", {"Y": ramp}, dataWindow=data, displayWindow=shown))
    out = values(load_image(saved(stack, tmp_path / "out.tif")))
    np.testing.assert_allclose(out[:, :, 0], ramp[3:17, 4:26], atol=1e-4)
    again = OpenEXR.File(str(saved(stack, tmp_path / "out.exr"))).header()
    for key, corners in (("dataWindow", data), ("displayWindow", shown)):
        np.testing.assert_array_equal(again[key], corners)


def test_primaries_and_aspect_that_get_lost_are_reported(tmp_path: Path) -> None:
    primaries = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)  # ACES AP1
    rgb = {name: np.full((4, 4), 0.5, np.float32) for name in "RGB"}
    stack = load_image(write(tmp_path / "a.exr", rgb, chromaticities=primaries, pixelAspectRatio=2.0))
    saved(stack, tmp_path / "again.exr")
    with pytest.warns(SourceWarning, match=r"PNG has no place for the primaries.*aspect 2"):
        saved(stack, tmp_path / "a.png")
    plain = load_image(write(tmp_path / "b.exr", rgb, chromaticities=REC_709))
    saved(plain, tmp_path / "b.png")


def test_attributes_take_a_twentieth_of_a_budget_at_most(tmp_path: Path) -> None:
    from gscodec.decoding.image import open_igs

    noise = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    words = " ".join(map(str, np.random.default_rng(1).integers(0, 10**6, 60)))
    stack = load_image(write(tmp_path / "a.exr", {"Y": noise}, comments=words))
    with pytest.warns(SourceWarning, match="left out: OpenEXR attributes, more than 5%"):
        small = encode(stack, size=1200, preset="fast", steps=2, lods=1)
    assert len(small.data) <= 1200
    with open_igs(small.data) as image:
        assert "attributes" not in image.files[0].exr
    with open_igs(encode(stack, size=9000, preset="fast", steps=2, lods=1).data) as image:
        assert image.files[0].exr["attributes"] == stack.files[0].exr["attributes"]


def test_windows_that_do_not_meet_show_nothing(tmp_path: Path) -> None:
    pixels = np.ones((4, 5), np.float32)
    stack = load_image(
        write(tmp_path / "a.exr", {"Y": pixels}, dataWindow=window(100, 100, 5, 4), displayWindow=window(0, 0, 8, 8))
    )
    assert not values(load_image(saved(stack, tmp_path / "out.tif"))).any()


def test_a_small_file_makes_no_huge_picture(tmp_path: Path) -> None:
    pixels = np.ones((4, 5), np.float32)
    stack = load_image(write(tmp_path / "a.exr", {"Y": pixels}, displayWindow=window(0, 0, 30000, 30000)))
    with pytest.warns(SourceWarning, match="display window"):
        saved(stack, tmp_path / "out.tif")
    assert load_image(tmp_path / "out.tif").samples.shape[:2] == (4, 5)


ATTRIBUTES: list[Attribute] = [
    Attribute(b"owner", b"string", "Möbius\nstudio".encode()),
    Attribute(b"framesPerSecond", b"rational", struct.pack("<iI", 24000, 1001)),
    Attribute(b"timeCode", b"timecode", struct.pack("<II", 0x01020304, 5)),
    Attribute(b"worldToCamera", b"m44f", struct.pack("<16f", *range(16))),
    Attribute(b"pixelSize", b"v2d", struct.pack("<2d", 1 / 3, 2.0)),
    Attribute(b"exposure", b"double", struct.pack("<d", 1 / 3)),
    Attribute(b"crop", b"box2i", struct.pack("<4i", 1, 2, 3, 4)),
    Attribute(b"multiView", b"stringvector", struct.pack("<i4si5s", 4, b"left", 5, b"right")),
    Attribute(b"studio/private", b"ourOwnType", b"\x00\x01\xff"),
    Attribute(b"a name of more than thirty-one characters", b"int", struct.pack("<i", -7)),
    Attribute(b"screenWindowWidth", b"float", struct.pack("<f", 2.5)),
    Attribute(b"renderTime", b"float", struct.pack("<f", 3.25)),
]


def with_lines(content: bytes, lines: list[Attribute], n_chunks: int) -> bytes:
    """The file with these header lines in front of its own; those of the same names are gone."""
    names = {line.name for line in lines}
    kept = [line for line in read_headers(content)[0] if line.name not in names]
    old = sum(len(line.name) + len(line.kind) + 6 + len(line.data) for line in read_headers(content)[0]) + 1
    new = b"".join(n + b"\0" + k + b"\0" + struct.pack("<i", len(d)) + d for n, k, d in (*lines, *kept)) + b"\0"
    table = struct.unpack_from(f"<{n_chunks}Q", content, 8 + old)
    moved = struct.pack(f"<{n_chunks}Q", *(at + len(new) - old for at in table))
    version = struct.unpack_from("<I", content, 4)[0] | 0x400
    return content[:4] + struct.pack("<I", version) + new + moved + content[8 + old + 8 * n_chunks :]


def test_all_attributes_come_back_as_they_were(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", {"Y": np.ones((20, 5), np.float32)}, compression=OpenEXR.ZIP_COMPRESSION)
    path.write_bytes(with_lines(path.read_bytes(), ATTRIBUTES, 2))
    result = encode(load_image(path), gaussians=4, preset="fast", steps=2, lods=1)
    from gscodec.decoding.image import open_igs

    with open_igs(result.data) as image:
        (restored,) = image.render_files().values()
    save_image(tmp_path / "out.exr", restored.samples, restored.groups, exr=restored.entry.exr)
    (header,) = read_headers((tmp_path / "out.exr").read_bytes())
    assert set(ATTRIBUTES) <= set(header)
    assert len({line.name for line in header}) == len(header)
    again = OpenEXR.File(str(tmp_path / "out.exr"))
    assert again.header()["owner"] == "Möbius\nstudio"
    np.testing.assert_allclose(again.channels()["Y"].pixels, 1, atol=1e-3)


def test_attributes_beyond_the_bounds_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", {"Y": np.ones((4, 5), np.float32)}, manifest="x" * 500_000, owner="me")
    with pytest.warns(SourceWarning, match="'manifest'"):
        stack = load_image(path)
    assert [each["name"] for each in stack.files[0].exr["attributes"]] == ["owner"]


@pytest.mark.parametrize(
    "attribute",
    [
        {"name": "channels", "type": "chlist", "data": ""},
        {"name": "a\x1b", "type": "string", "data": ""},
        {"name": "a", "type": "float", "data": "AAA="},
        {"name": "a", "type": "string", "data": "not base64!"},
        {"name": "a", "type": "string"},
    ],
)
def test_attributes_that_make_no_file_are_refused(attribute: dict[str, str]) -> None:
    channel = {"name": "Y", "type": "half", "place": 0}
    entry = FileEntry("a.exr", 4, 4, 1, ("color",), exr={"channels": [channel], "attributes": [attribute]})
    with pytest.raises(CorruptField):
        pack_files([entry], "x", CorruptField)


def test_cryptomatte_is_refused_by_its_attribute_name_or_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 2**32, (9, 9), np.uint32).view(np.float32)
    ids = np.where(np.isfinite(ids), ids, np.float32(1))
    ids[0, :2] = 2e38, -2e38
    few = np.full((9, 9), 1.5, np.float32)
    for channels, header in (
        ({"CryptoAsset00.r": few}, {}),
        ({"mine00.r": few}, {"cryptomatte/1234567/name": "mine"}),
        ({"any.ids": ids}, {}),
    ):
        with pytest.raises(UnsupportedImage, match=r"ids.*--part"):
            load_image(write(tmp_path / "a.exr", channels | {"Y": few}, **header))


@pytest.mark.parametrize(
    "picture",
    [
        np.where(np.eye(16) > 0, LARGEST, 2.0),
        np.where(np.arange(256).reshape(16, 16) % 3 > 0, LARGEST, 2.0 + np.arange(16)),
        np.where(np.eye(16) > 0, LARGEST, LARGEST / 2),
        np.full((16, 16), LARGEST),
        np.full((16, 16), -LARGEST),
        np.full((16, 16), 1e-45),
        np.geomspace(1e-38, LARGEST, 256).reshape(16, 16),
    ],
)
def test_numbers_of_any_size_are_encoded(picture: np.ndarray, tmp_path: Path) -> None:
    from gscodec.decoding.image import open_igs

    path = write(tmp_path / "a.exr", {"Z": picture.astype(np.float32)})
    stack = load_image(path)
    np.testing.assert_allclose(values(stack)[:, :, 0], picture.astype(np.float32), rtol=1e-3)
    result = encode(stack, bpp=24, preset="fast", steps=5)
    with open_igs(result.data) as image:
        assert np.isfinite(image.render()).all()


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_tiles_with_levels_give_the_finest(mode: int) -> None:
    """One level, a mip chain, and one with all ratios of width and height (rip)."""
    ramp = np.arange(40 * 50, dtype=np.float32).reshape(40, 50)
    levels = {
        0: [(0, 0)],
        1: [(n, n) for n in range(6)],
        2: [(x, y) for y in range(6) for x in range(6)],
    }[mode]
    chunks = []
    for level_x, level_y in levels:
        width, height = max(1, 50 >> level_x), max(1, 40 >> level_y)
        level = ramp if (level_x, level_y) == (0, 0) else np.full((height, width), -7, np.float32)
        for row in range(-(-height // 16)):
            for column in range(-(-width // 16)):
                data = level[16 * row : 16 * row + 16, 16 * column : 16 * column + 16].astype("<f4").tobytes()
                chunks.append(struct.pack("<5i", column, row, level_x, level_y, len(data)) + data)
    tiles = attribute("tiles", "tiledesc", struct.pack("<IIB", 16, 16, mode))
    data = joined(2 | 0x200, header_of({"Y": (ramp, 1)}, ramp.shape, tiles), chunks)
    np.testing.assert_allclose(values(load_image(data))[:, :, 0], ramp, atol=0.1)


def test_the_command_says_what_it_does_not_take(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", {"CryptoObject00.r": np.ones((8, 8), np.float32)})
    command = [sys.executable, "-m", "gscodec", "encode", str(path), str(tmp_path / "a.igs"), "--bpp", "24"]
    outcome = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (5, 1)
    assert "CryptoObject00" in outcome.stderr


def test_an_entry_with_attributes_comes_through_the_chunk(tmp_path: Path) -> None:
    stack = load_image(write(tmp_path / "a.exr", {"Y": np.ones((4, 5), np.float32)}, owner="me"))
    assert unpack_files(pack_files(stack.files, "x", CorruptField), stack.groups, "x") == stack.files
    assert load_image((tmp_path / "a.exr").read_bytes()).files[0].exr["attributes"] == stack.files[0].exr["attributes"]
