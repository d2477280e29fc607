import io
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from gscodec_bench.codecs import Codec, Igs, Layout, codec_names, get_codec, join, split, split_available
from gscodec_bench.codecs.mips import enlarge, mip_of, shrink
from gscodec_bench.measure import code, igs_figures, quality_figures
from gscodec_bench.sources import discover
from PIL import Image

from gscodec.errors import InvalidArgument
from gscodec.image.arrays import from_array
from gscodec.image.levels import to_unit
from gscodec.image.stack import ImageStack
from gscodec.metrics import psnr

Waves = Callable[..., npt.NDArray[np.uint8]]

RIVALS = ("jpeg", "webp", "avif", "jxl", "bc1", "bc7")  # those that come from PyPI
BEST = {"jpeg": "95", "webp": "100", "avif": "95", "jxl": "0.5", "bc1": "mip0", "bc7": "mip0"}


@pytest.fixture
def picture(waves: Waves) -> ImageStack:
    return from_array(waves(70, 91, 3))


@pytest.fixture
def stack(gallery: Path) -> ImageStack:
    return next(source for source in discover([gallery])[0] if source.is_stack).load()


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_gives_the_picture_back(name: str, picture: ImageStack) -> None:
    codec = get_codec(name)
    assert codec.available() is None
    assert codec.version()
    coded = code(picture, codec, BEST[name], decode_runs=1)
    assert coded.samples.shape == picture.samples.shape
    # BC1 has four colours on a line for each block, and these channels vary on their own.
    assert psnr(picture.samples, coded.samples) > (24 if name == "bc1" else 30)
    assert coded.decode_ms is not None
    assert coded.encode_s > 0


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_gives_a_stack_back_in_order(name: str, stack: ImageStack) -> None:
    codec = get_codec(name)
    coded = code(stack, codec, BEST[name], decode_runs=0)
    assert len(coded.files) == 3
    assert coded.decode_ms is None
    for channels in (slice(0, 3), slice(3, 6), slice(6, 7)):
        assert psnr(stack.samples[:, :, channels], coded.samples[:, :, channels]) > (20 if name == "bc1" else 25)


def test_more_bytes_are_better(picture: ImageStack) -> None:
    for name in RIVALS:
        codec = get_codec(name)
        points = [code(picture, codec, setting, 0) for setting in codec.settings(())]
        points.sort(key=lambda coded: coded.n_bytes)
        quality = [psnr(picture.samples, coded.samples) for coded in points]
        assert quality == sorted(quality), name


def test_settings_are_those_of_the_published_anchors(waves: Waves) -> None:
    """Sizes of a picture measured once by hand with each library's own call."""
    samples = waves(128, 128, 3)
    stack = from_array(samples)
    image = Image.fromarray(samples)

    def by_hand(format_name: str, **options: Any) -> bytes:
        file = io.BytesIO()
        image.save(file, format_name, **options)
        return file.getvalue()

    jpeg = by_hand("JPEG", quality=35, optimize=True, progressive=True)
    assert get_codec("jpeg").encode(stack, "35") == jpeg
    assert get_codec("webp").encode(stack, "20") == by_hand("WEBP", quality=20, method=6)
    avif = by_hand("AVIF", quality=30, speed=6, subsampling="4:4:4")
    assert get_codec("avif").encode(stack, "30") == avif


@pytest.mark.parametrize(("name", "header"), [("bc1", 128), ("bc7", 148)])
def test_dds_files_are_what_pillow_reads(name: str, header: int, picture: ImageStack) -> None:
    codec = get_codec(name)
    data = codec.encode(picture, "mip0")
    assert len(data) == header + (18 * 23) * (8 if name == "bc1" else 16)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), codec.decode(data, 70, 91))
    small = codec.encode(picture, "mip2")
    assert len(small) == header + (5 * 6) * (8 if name == "bc1" else 16)
    assert codec.decode(small, 70, 91).shape == (70, 91, 3)


def test_mips_average_and_come_back_bilinearly(waves: Waves) -> None:
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], 4, axis=0)
    half = shrink(ramp, 1)
    assert half.shape == (2, 8, 1)
    assert half[0, :, 0].tolist() == list(range(5, 160, 20))
    back = enlarge(half, 4, 16)[0, :, 0].astype(int)
    assert back[1:-1].tolist() == list(range(10, 150, 10))  # a ramp survives, but for its repeated ends
    assert (back[0], back[-1]) == (5, 145)
    assert shrink(waves(9, 7, 3), 2).shape == (3, 2, 3)
    assert mip_of("12x12/mip2") == ("12x12", 2)
    assert mip_of("mip1") == ("", 1)


def test_scalar_maps_share_a_texture(stack: ImageStack) -> None:
    layouts = {layout: [part.samples.shape[2] for part in split(stack, layout)] for layout in Layout}
    assert layouts == {Layout.STACK: [7], Layout.MAPS: [3, 3, 1], Layout.TEXTURES: [3, 3, 3]}
    for layout in Layout:
        parts = [part.samples for part in split(stack, layout)]
        assert np.array_equal(join(parts, stack, layout), stack.samples), layout


def test_what_eight_bits_without_alpha_cannot_hold_is_refused() -> None:
    jpeg = get_codec("jpeg")
    assert "16-bit" in str(jpeg.refuses(from_array(np.zeros((4, 4, 3), np.uint16))))
    assert "alpha" in str(jpeg.refuses(from_array(np.zeros((4, 4, 4), np.uint8))))
    assert jpeg.refuses(from_array(np.zeros((4, 4, 3), np.uint8))) is None
    assert get_codec("gscodec:fast").refuses(from_array(np.zeros((4, 4, 4), np.uint16))) is None


def test_progressive_jpeg_xl_is_as_far_as_its_bytes(waves: Waves) -> None:
    codec = get_codec("jxl-progressive")
    reason = codec.available()
    if shutil.which("cjxl") is None or shutil.which("djxl") is None:
        assert reason is not None
        assert "apt-get install libjxl-tools" in reason
        return
    assert reason is None
    stack = from_array(waves(200, 300, 3))
    data = codec.encode(stack, "1")
    assert psnr(stack.samples, to_unit(codec.decode(data, 200, 300), stack.groups)) > 30
    assert codec.decode_partial(data[:20], 200, 300) is None
    assert codec.decode_partial(data[: len(data) - 5], 200, 300) is not None


def test_our_names_say_what_differs() -> None:
    for name in ("gscodec:balanced", "gscodec:paper:lods3:steps20:seed4"):
        assert get_codec(name).name == name
    assert get_codec("gscodec").name == "gscodec:balanced"
    assert get_codec("gscodec:fast:lods1", "cpu", 2) == Igs("fast", lods=1, device="cpu", threads=2)
    assert get_codec("gscodec:fast:halves2").name == "gscodec:fast:halves2"
    assert get_codec("gscodec:fast:psnr") == Igs("fast", tune="psnr")
    assert get_codec("gscodec:fast:psnr").name == "gscodec:fast:psnr"
    assert get_codec("gscodec:fast:maps").name == "gscodec:fast:maps"
    for name in ("gscodec:quick", "gscodec:fast:lod1", "gif"):
        with pytest.raises(InvalidArgument, match=name.rpartition(":")[2]):
            get_codec(name)
    assert set(RIVALS) < set(codec_names())


def test_ours_meets_the_rate_and_says_what_is_in_the_file(picture: ImageStack, stack: ImageStack) -> None:
    codec = get_codec("gscodec:fast:steps3:lods1", threads=1)
    assert codec.settings((0.2, 1)) == ["0.2", "1"]
    coded = code(picture, codec, "1", decode_runs=1)
    assert 0.95 <= 8 * coded.n_bytes / (70 * 91) <= 1
    figures = igs_figures(codec, coded.files)
    assert (figures["profile"], figures["lods"]) == ("small", 1)  # at most 2048 bytes
    assert float(figures["bits_per_gaussian"]) == pytest.approx(8 * coded.n_bytes / figures["gaussians"], abs=0.01)
    assert igs_figures(get_codec("jpeg"), (b"",)) == {}
    coded = code(stack, codec, "0.5", decode_runs=0)
    assert 0.475 <= 8 * coded.n_bytes / stack.samples.size <= 0.5
    assert coded.samples.shape == stack.samples.shape


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    here, missing = split_available([get_codec("jpeg"), get_codec("astc"), get_codec("basis")])
    assert [codec.name for codec in here] == ["jpeg"]
    assert "apt-get install astcenc" in missing["astc"]
    assert "basisu" in missing["basis"]


# What stands for the program in the next test: it notes its words and copies its input.
FAKE_ASTCENC = """#!/bin/sh
if [ "$1" = -version ]; then echo "astcenc v9.8.7, fake"; exit 0; fi
printf '%s\\n' "$1" "$4" "$5" > "$NOTES"
if [ "$4" = 5x5 ]; then echo "ERROR: no such block" >&2; exit 1; fi
printf 'blocks' > "$3"
"""


@pytest.fixture
def fake_astc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Codec:
    program = tmp_path / "bin" / "astcenc"
    program.parent.mkdir()
    program.write_text(FAKE_ASTCENC)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return get_codec("astc")


def test_a_program_is_called_as_documented(fake_astc: Codec, picture: ImageStack, tmp_path: Path) -> None:
    assert fake_astc.available() is None
    assert fake_astc.version() == "astcenc 9.8.7, medium"
    assert fake_astc.encode(picture, "12x12/mip1") == b"blocks"
    assert (tmp_path / "notes").read_text().split() == ["-cl", "12x12", "-medium"]
    with pytest.raises(RuntimeError, match="astcenc ended with 1: ERROR: no such block"):
        fake_astc.encode(picture, "5x5")


def astc_void_extent(rgb: tuple[int, int, int]) -> bytes:
    """A block of one colour (Khronos Data Format, "ASTC void-extent blocks")."""
    parts = [value * 257 for value in (*rgb, 255)]
    return bytes.fromhex("fcfdffffffffffff") + b"".join(part.to_bytes(2, "little") for part in parts)


def test_astc_blocks_are_read_in_rgb_order() -> None:
    header = bytes.fromhex("13aba15c") + bytes([4, 4, 1]) + b"".join(n.to_bytes(3, "little") for n in (8, 4, 1))
    data = header + astc_void_extent((250, 100, 3)) + astc_void_extent((0, 0, 255))
    expected: npt.NDArray[np.uint8] = np.zeros((4, 8, 3), np.uint8)
    expected[:, :4], expected[:, 4:] = (250, 100, 3), (0, 0, 255)
    decoded = get_codec("astc").decode(data, 4, 8)
    assert np.array_equal(decoded, expected)
    assert np.array_equal(to_unit(decoded, from_array(decoded).groups), expected.astype(np.float32) / np.float32(255))


def test_maps_alone_have_the_rate_of_the_whole(stack: ImageStack) -> None:
    whole, alone = (
        code(stack, get_codec(f"gscodec:fast:steps2:lods1{more}", threads=1), "4", 0) for more in ("", ":maps")
    )
    assert (len(whole.files), len(alone.files)) == (1, 3)
    assert alone.samples.shape == whole.samples.shape
    assert alone.n_bytes == pytest.approx(whole.n_bytes, rel=0.05)
    assert not igs_figures(get_codec("gscodec:fast:maps"), alone.files)


def test_light_is_measured_as_light(tmp_path: Path) -> None:
    light = np.geomspace(0.01, 5000, 40 * 30 * 3).reshape(40, 30, 3).astype(np.float32)
    tifffile.imwrite(tmp_path / "light.tif", light, photometric="rgb")
    (source,) = discover([tmp_path])[0]
    picture = source.load()
    coded = code(picture, get_codec("gscodec:fast:steps30:lods1", threads=1), "8", 0)
    figures = quality_figures(picture, coded.samples, ("flip", "log_psnr", "hdr_flip"))
    assert figures["flip"] is None
    assert 20 < float(figures["log_psnr"]) < 90
    assert 0 < float(figures["hdr_flip"]) < 0.5
    assert get_codec("jpeg").refuses(picture) == "32-bit samples, the codec has 8"
