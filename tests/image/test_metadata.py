"""Exif, XMP, pixel density and colour tags: through the file and back into pictures."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from gscodec.container.validate import validate
from gscodec.encoding.api import encode
from gscodec.errors import CorruptField, InvalidArgument, LimitExceeded, SourceWarning
from gscodec.format.metadata import Metadata, unpack_tags
from gscodec.image.load import load_image
from gscodec.image.metadata import upright_exif
from gscodec.image.save import save_image
from gscodec.model.channels import Transfer

Saved = Callable[..., bytes]
Deep = Callable[..., bytes]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description dc:rights="CC0" tiff:Orientation="6"/></x:xmpmeta>'
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def exif(orientation: int = 6) -> Image.Exif:
    made = Image.Exif()
    made[274] = orientation
    made[271] = "Maker"
    made[33432] = "someone"
    made[34665] = {33434: IFDRational(1, 250), 36867: "2026:11:27 10:00:00"}
    made[34853] = {1: "N", 2: (52.0, 30.0, 0.0)}
    return made


def decoded(data: bytes, path: Path, **options: Any) -> Path:
    """The source encoded and decoded into a file."""
    from gscodec.decoding.image import open_igs

    result = encode(load_image(data), gaussians=4, preset="fast", steps=2, lods=1, **options)
    with open_igs(result.data) as image:
        assert not validate(result.data)
        save_image(path, image.render(), image.groups, image.icc, metadata=image.metadata)
    return path


def read(path: Path) -> tuple[Image.Exif, dict[Any, Any]]:
    with Image.open(path) as image:
        image.load()
        return image.getexif(), dict(image.info)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("target", ["jpg", "png", "tif", "webp"])
def test_exif_and_xmp_come_through(source: str, target: str, saved: Saved, tmp_path: Path) -> None:
    options: dict[str, Any] = {"exif": exif()}
    if source == "TIFF":
        with_xmp = exif()
        with_xmp[700] = XMP
        options["exif"] = with_xmp.tobytes()
    elif source != "PNG":
        options["xmp"] = XMP
    else:
        options["pnginfo"] = png_text("XML:com.adobe.xmp", XMP.decode())
    path = decoded(saved(Image.fromarray(PIXELS), source, **options), tmp_path / f"a.{target}")
    found, info = read(path)
    assert found.get(274, 1) == 1
    assert (found[271], found[33432]) == ("Maker", "someone")
    assert found.get_ifd(34665)[36867] == "2026:11:27 10:00:00"
    assert float(found.get_ifd(34665)[33434]) == pytest.approx(1 / 250)
    assert found.get_ifd(34853)[1] == "N"
    assert info["xmp"].rstrip(b"\0") == XMP.replace(b'"6"', b'"1"')
    with Image.open(path) as image:
        assert image.size == (12, 16)  # turned


def png_text(key: str, text: str) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt(key, text)
    return info


@pytest.mark.parametrize("depth", [16, 32])
def test_deep_and_float_tiffs_have_it_too(depth: int, tmp_path: Path) -> None:
    metadata = Metadata((300.0, 150.0), exif=exif(1).tobytes().removeprefix(b"Exif\0\0"), xmp=XMP)
    stack = load_image(tiff_of(PIXELS.astype(np.uint16 if depth == 16 else np.float32)))
    from gscodec.image.levels import to_values

    save_image(tmp_path / "a.tif", to_values(stack.samples, stack.groups), stack.groups, metadata=metadata)
    again = load_image(tmp_path / "a.tif").metadata
    assert again.density == (300.0, 150.0)
    assert again.xmp == XMP.replace(b'"6"', b'"1"')
    found = Image.Exif()
    found.load(b"Exif\0\0" + (again.exif or b""))
    assert found[271] == "Maker"
    assert found.get_ifd(34665)[36867] == "2026:11:27 10:00:00"
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.asarray().shape == PIXELS.shape


def tiff_of(pixels: npt.NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, photometric="rgb", metadata=None, **options)
    return stream.getvalue()


@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("target", ["jpg", "png", "tif", "bmp"])
def test_pixel_density_comes_through(source: str, target: str, saved: Saved, tmp_path: Path) -> None:
    path = decoded(saved(Image.fromarray(PIXELS), source, dpi=(300, 300)), tmp_path / f"a.{target}")
    np.testing.assert_allclose([float(each) for each in read(path)[1]["dpi"]], 300, atol=0.1)


def test_density_by_the_centimetre() -> None:
    assert load_image(tiff_of(PIXELS, resolution=(100, 50), resolutionunit="CENTIMETER")).metadata.density == (254, 127)


def test_a_thumbnail_of_another_picture_is_cut_off() -> None:
    thumbnail = b"\xff\xd8" + bytes(500) + b"\xff\xd9"
    first = struct.pack("<HHHIII", 1, 274, 3, 1, 6, 26)
    second = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, 56, 514, 4, 1, len(thumbnail), 0)
    data = b"II\x2a\0" + struct.pack("<I", 8) + first + second
    assert len(data) == 56
    edited = upright_exif(data + thumbnail)
    assert len(edited) == 56
    found = Image.Exif()
    found.load(b"Exif\0\0" + edited)
    assert dict(found) == {274: 1}


def test_damaged_exif_is_reported_and_the_picture_read(saved: Saved) -> None:
    data = saved(Image.fromarray(PIXELS), "PNG", exif=b"Exif\0\0II\x2a\0" + bytes([255] * 40))
    with pytest.warns(SourceWarning, match="Exif is left out"):
        assert load_image(data).metadata.exif is None


@pytest.mark.parametrize(
    ("chunks", "key", "value", "transfer"),
    [
        (((b"cICP", bytes([9, 16, 0, 1])),), "cicp", (9, 16, 0, 1), Transfer.LINEAR),
        (((b"cICP", bytes([12, 13, 0, 1])),), "cicp", (12, 13, 0, 1), Transfer.SRGB),
        (((b"gAMA", struct.pack(">I", 100000)),), "gamma", 1.0, Transfer.LINEAR),
        (((b"gAMA", struct.pack(">I", 55556)),), "gamma", 0.55556, Transfer.SRGB),
        (((b"gAMA", struct.pack(">I", 45455)),), "gamma", None, Transfer.SRGB),
        (((b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100000))), "gamma", None, Transfer.SRGB),
    ],
)
def test_colour_tags_of_png_are_kept(
    chunks: tuple[tuple[bytes, bytes], ...], key: str, value: Any, transfer: Transfer, deep_png: Deep, tmp_path: Path
) -> None:
    data = deep_png(PIXELS.astype(np.uint16) * 257, *chunks)
    stack = load_image(data)
    assert getattr(stack.metadata, key) == value
    assert stack.groups[0].transfer is transfer
    again = load_image(decoded(data, tmp_path / "a.png"))
    assert again.metadata == stack.metadata
    assert again.groups[0].transfer is transfer


def test_primaries_and_mastering_are_kept(deep_png: Deep, tmp_path: Path) -> None:
    primaries = struct.pack(">8i", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    mastering = struct.pack(">8H2I", 35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 10_000_000, 50)
    light = struct.pack(">2I", 10_000_000, 4_000_000)
    data = deep_png(PIXELS.astype(np.uint16), (b"cHRM", primaries), (b"mDCV", mastering), (b"cLLI", light))
    again = decoded(data, tmp_path / "a.png").read_bytes()
    for kind, value in ((b"cHRM", primaries), (b"mDCV", mastering), (b"cLLI", light)):
        assert kind + value in again


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.exr"])
def test_a_type_without_colour_tags_says_so(name: str, deep_png: Deep, tmp_path: Path) -> None:
    data = deep_png(PIXELS.astype(np.uint16) * 257, (b"cICP", bytes([9, 16, 0, 1])))
    with pytest.warns(SourceWarning, match=r"cICP 9/16/0/1 \(PQ\).*not converted"):
        decoded(data, tmp_path / name)


def test_linear_samples_are_light_in_openexr(deep_png: Deep, tmp_path: Path) -> None:
    import OpenEXR

    pixels = np.full((4, 4, 3), 0x8000, np.uint16)
    stack = load_image(deep_png(pixels, (b"gAMA", struct.pack(">I", 100000))))
    save_image(tmp_path / "a.exr", stack.samples, stack.groups)
    assert float(OpenEXR.File(str(tmp_path / "a.exr")).channels()["RGB"].pixels[0, 0, 0]) == pytest.approx(
        0.5, abs=1e-3
    )


@pytest.mark.parametrize("name", ["a.bmp", "a.ppm", "a.exr"])
def test_a_type_without_a_place_for_metadata_says_so(name: str, saved: Saved, tmp_path: Path) -> None:
    data = saved(Image.fromarray(PIXELS), "JPEG", exif=exif(1))
    with pytest.warns(SourceWarning, match="no place for Exif"):
        decoded(data, tmp_path / name)


@pytest.mark.parametrize("keyword", ["Software", "Creation Time", "date:create", "date:modify", "date:timestamp"])
def test_what_programs_write_about_themselves_is_left_out_in_silence(keyword: str, saved: Saved) -> None:
    text = png_text(keyword, "2026-11-01T09:30:00+00:00")
    assert load_image(saved(Image.fromarray(PIXELS), "PNG", pnginfo=text)).metadata == Metadata()


def test_what_is_not_kept_is_named(saved: Saved) -> None:
    with pytest.warns(SourceWarning, match="text Author"):
        load_image(saved(Image.fromarray(PIXELS), "PNG", pnginfo=png_text("Author", "me" * 2000)))
    with pytest.warns(SourceWarning, match="comment"):
        load_image(saved(Image.fromarray(PIXELS), "JPEG", comment="hello"))
    tags = [(33723, "B", 12, b"\x1c\x02\0\0" * 3, True), (42112, "s", 0, "x", True), (65000, "H", 1, 1, True)]
    with pytest.warns(SourceWarning, match="IPTC, GDAL, tag 65000"):
        load_image(tiff_of(PIXELS, extratags=tags))
    block = b"Photoshop 3.0\x008BIM" + struct.pack(">HHI", 0x0404, 0, 4) + b"\x1c\x02\0\0"
    jpeg = saved(Image.fromarray(PIXELS), "JPEG")
    with pytest.warns(SourceWarning, match="IPTC"):
        load_image(jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + jpeg[2:])


def test_texts_of_png_are_kept_as_far_as_there_is_room(saved: Saved, tmp_path: Path) -> None:
    texts = PngInfo()
    for place in range(9):
        texts.add_text(f"Key {place}", chr(97 + place) * 500, zip=place % 2 == 0)
    with pytest.warns(SourceWarning, match="left out: text Key 5, Key 6, Key 7, Key 8"):
        stack = load_image(saved(Image.fromarray(PIXELS), "PNG", pnginfo=texts))
    assert stack.metadata.texts == tuple((f"Key {place}", chr(97 + place) * 500) for place in range(5))
    data = saved(Image.fromarray(PIXELS), "PNG", pnginfo=png_text("Author", "me"))
    decoded(data, tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").metadata.texts == (("Author", "me"),)


def test_texts_that_are_damaged_or_pack_much_are_left_out(saved: Saved) -> None:
    plain = saved(Image.fromarray(PIXELS), "PNG")
    for kind, body in (
        (b"zTXt", b"Key\0\0" + zlib.compress(b"a" * 500_000)),
        (b"zTXt", b"Key\0\0no deflate"),
        (b"iTXt", b"Key\0\0\0\0\0\xff\xfe"),
        (b"tEXt", b"Key\0a\x00b"),
        (b"tEXt", b"Key" * 60 + b"\0text"),
        (b"tEXt", b" Key\0text"),
    ):
        chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        with pytest.warns(SourceWarning, match="left out: text"):
            assert load_image(plain[:33] + chunk + plain[33:]).metadata.texts is None


def test_none_keeps_colour_tags_alone(saved: Saved, deep_png: Deep) -> None:
    from gscodec.decoding.image import open_igs

    stack = load_image(saved(Image.fromarray(PIXELS), "JPEG", exif=exif(1), xmp=XMP, dpi=(300, 300)))
    bare = encode(stack, gaussians=4, preset="fast", steps=2, lods=1, metadata="none")
    with open_igs(bare.data) as image:
        assert image.metadata == Metadata()
    tagged = load_image(deep_png(PIXELS.astype(np.uint16), (b"cICP", bytes([9, 16, 0, 1]))))
    with open_igs(encode(tagged, gaussians=4, preset="fast", steps=2, lods=1, metadata="none").data) as image:
        assert image.metadata.cicp == (9, 16, 0, 1)
    with pytest.raises(InvalidArgument, match="metadata"):
        encode(stack, gaussians=4, metadata="some")


def test_metadata_takes_a_twentieth_of_a_budget_at_most(saved: Saved) -> None:
    from gscodec.decoding.image import open_igs

    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    stack = load_image(saved(noise, "JPEG", exif=exif(1), xmp=XMP * 9, dpi=(300, 300)))
    with pytest.warns(SourceWarning, match=r"left out: XMP, Exif, pixel density, more than 5% of 600 bytes"):
        small = encode(stack, size=600, preset="fast", steps=2)
    assert len(small.data) <= 600
    with open_igs(small.data) as image:
        assert image.metadata == Metadata()
    large = encode(stack, size=12000, preset="fast", steps=2, lods=1)
    assert 0.95 * 12000 <= len(large.data) <= 12000
    with open_igs(large.data) as image:
        assert image.metadata == stack.metadata


@pytest.mark.parametrize(
    "members",
    [
        '{"density":[300]}',
        '{"density":[0,1]}',
        '{"density":"300"}',
        '{"cicp":[9,16,0,2]}',
        '{"cicp":[9,16,0,1.0]}',
        '{"cicp":[9,16,0,true]}',
        '{"gamma":0}',
        '{"chromaticities":[1,2,3]}',
        '{"mastering":[0,0,0,0,0,0,0,65536,0,0]}',
        "[]",
    ],
)
def test_tags_that_mean_nothing_are_refused(members: str) -> None:
    with pytest.raises(CorruptField):
        unpack_tags(members.encode(), "x")


def test_unknown_tags_are_passed_over() -> None:
    assert unpack_tags(b'{"new":{"a":1},"gamma":0.5}', "x") == Metadata(gamma=0.5)


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        (Metadata(exif=b"not a TIFF at all"), CorruptField),
        (Metadata(xmp=b"\xff\xfe"), CorruptField),
    ],
)
def test_chunks_that_are_none_are_faults(metadata: Metadata, kind: type[Exception], saved: Saved) -> None:
    from gscodec.container import writer as writer_module
    from gscodec.container.reader import IgsReader

    stack = load_image(saved(Image.fromarray(PIXELS), "PNG"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "check_metadata", lambda *_: None)
        from dataclasses import replace

        data = encode(replace(stack, metadata=metadata), gaussians=4, preset="fast", steps=2, lods=1).data
    assert validate(data)
    with IgsReader(data) as reader, pytest.raises(kind):
        reader.metadata  # noqa: B018


def test_too_long_metadata_is_refused_by_the_writer(saved: Saved) -> None:
    from dataclasses import replace

    stack = load_image(saved(Image.fromarray(PIXELS), "PNG"))
    with pytest.raises((InvalidArgument, LimitExceeded)):
        encode(replace(stack, metadata=Metadata(xmp=b"x" * (1 << 20) + b"x")), gaussians=4, preset="fast", steps=2)


@pytest.mark.parametrize("big", [False, True])
def test_big_tiffs_have_density_and_xmp(big: bool) -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, bigtiff=big) as writer:
        tags = [(700, "B", 4, b"<x/>", True), (315, "s", 0, "someone", True)]
        writer.write(PIXELS, photometric="rgb", metadata=None, resolution=(300, 150), extratags=tags, software=False)
    if big:
        with pytest.warns(SourceWarning, match="Exif and descriptions"):
            metadata = load_image(stream.getvalue()).metadata
    else:
        metadata = load_image(stream.getvalue()).metadata
    assert (metadata.density, metadata.xmp) == ((300.0, 150.0), b"<x/>")


def test_the_name_of_the_program_alone_is_no_metadata() -> None:
    assert load_image(tiff_of(PIXELS, software="a program")).metadata == Metadata()
