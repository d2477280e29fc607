import io
import struct

import numpy as np
import pytest
from PIL import Image

from gscodec.exporting.dds import pack_dds
from gscodec.exporting.formats import FORMATS, TexelFormat
from gscodec.exporting.ktx2 import IDENTIFIER, pack_ktx2


def fake_levels(form: TexelFormat, height: int, width: int) -> list[bytes]:
    """A chain of the right lengths, each level of one byte value."""
    sizes = [(max(1, height >> k), max(1, width >> k)) for k in range(max(height, width).bit_length())]
    return [bytes([k + 1]) * form.level_bytes(*size) for k, size in enumerate(sizes)]


def read_ktx2(data: bytes) -> tuple[dict[str, int], list[bytes], bytes, dict[str, bytes]]:
    """Header fields, levels, data format descriptor and key values, by the tables of the specification."""
    assert data[:12] == IDENTIFIER
    names = ["vk", "type_size", "width", "height", "depth", "layers", "faces", "levels", "scheme"]
    header = dict(zip(names, struct.unpack_from("<9I", data, 12), strict=True))
    dfd_at, dfd_size, kvd_at, kvd_size, sgd_at, sgd_size = struct.unpack_from("<4I2Q", data, 48)
    assert (sgd_at, sgd_size) == (0, 0)
    index = [struct.unpack_from("<3Q", data, 80 + 24 * k) for k in range(header["levels"])]
    assert dfd_at == 80 + 24 * header["levels"]
    assert kvd_at == dfd_at + dfd_size
    levels = []
    for offset, length, whole in index:
        assert length == whole
        assert offset >= kvd_at + kvd_size
        levels.append(data[offset : offset + length])
    assert index[0][0] + index[0][1] == len(data)
    assert [offset for offset, *_ in index] == sorted((offset for offset, *_ in index), reverse=True)
    values, at = {}, kvd_at
    while at < kvd_at + kvd_size:
        (length,) = struct.unpack_from("<I", data, at)
        key, _, value = data[at + 4 : at + 4 + length].partition(b"\0")
        values[key.decode()] = value
        at += 4 + length + -length % 4
    return header | {"align": min(-offset % 4 for offset, *_ in index)}, levels, data[dfd_at:kvd_at], values


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.name)
@pytest.mark.parametrize("srgb", [False, True])
def test_ktx2_reads_back_by_the_tables_of_its_specification(form: TexelFormat, srgb: bool) -> None:
    height, width = 10, 21
    given = fake_levels(form, height, width)
    data = pack_ktx2(given, height, width, form, srgb=srgb, premultiplied=False, colour=srgb)
    header, levels, descriptor, values = read_ktx2(data)
    assert levels == given
    assert header["vk"] == (form.vk_srgb if srgb and form.vk_srgb else form.vk)
    assert (header["width"], header["height"], header["depth"]) == (width, height, 0)
    assert (header["layers"], header["faces"], header["levels"], header["scheme"]) == (0, 1, 5, 0)
    assert header["type_size"] == (np.dtype(form.dtype).itemsize if form.dtype else 1)
    assert header["align"] == 0
    assert list(values) == sorted(values)
    assert values["KTXorientation"] == b"rd\0"
    assert values["KTXwriter"].startswith(b"gscodec ")
    total, vendor, version, size = struct.unpack_from("<IIHH", descriptor)
    assert (total, vendor, version, size) == (len(descriptor), 0, 2, 24 + 16 * len(form.samples))
    model, primaries, transfer, flags, block_x, block_y, block_z, _, bytes_plane = descriptor[12:21]
    assert (model, primaries, flags) == (form.model, int(srgb), 0)
    assert transfer == (2 if srgb and form.vk_srgb else 1)
    side = int(form.name.split("x")[-1]) if form.name.startswith("astc-") else 4 if form.dtype is None else 1
    assert (block_x, block_y, block_z) == (side - 1, side - 1, 0)
    assert bytes_plane == form.block_bytes
    bits = 0
    for number in range(len(form.samples)):
        offset, length, channel, position, _low, high = struct.unpack_from("<HBBIII", descriptor, 28 + 16 * number)
        assert (offset, position) == (bits, 0)
        bits += length + 1
        assert bool(channel & 0x80) == form.is_float
        assert high == (0x3F800000 if form.is_float else min(2 ** (length + 1) - 1, 0xFFFFFFFF))
    assert bits == 8 * form.block_bytes


def test_levels_of_ktx2_begin_at_multiples_of_their_block() -> None:
    form = FORMATS["bc7"]
    data = pack_ktx2(fake_levels(form, 9, 9), 9, 9, form, srgb=True, premultiplied=False, colour=True)
    for number in range(4):
        assert struct.unpack_from("<Q", data, 80 + 24 * number)[0] % 16 == 0


def test_alpha_of_an_srgb_ktx2_is_linear() -> None:
    form = FORMATS["rgba8"]
    *_, descriptor, _ = read_ktx2(pack_ktx2([bytes(4)], 1, 1, form, srgb=True, premultiplied=True, colour=True))
    assert [descriptor[28 + 16 * k + 3] for k in range(4)] == [0, 1, 2, 15 | 0x10]
    assert descriptor[15] == 1  # premultiplied


@pytest.mark.parametrize(
    "form", [form for form in FORMATS.values() if form.dxgi is not None], ids=lambda form: form.name
)
@pytest.mark.parametrize("srgb", [False, True])
def test_fields_of_dds_are_those_of_its_guide(form: TexelFormat, srgb: bool) -> None:
    levels = fake_levels(form, 10, 21)
    data = pack_dds(levels, 10, 21, form, srgb=srgb, premultiplied=False)
    magic, size, flags, height, width, pitch, depth, mips = struct.unpack_from("<4s7I", data)
    assert (magic, size, height, width, depth, mips) == (b"DDS ", 124, 10, 21, 0, 5)
    assert flags & 0x21007 == 0x21007
    assert flags & (0x80000 if form.dtype is None else 0x8)
    assert pitch == (len(levels[0]) if form.dtype is None else 21 * form.block_bytes)
    assert struct.unpack_from("<II4s", data, 76) == (32, 4, b"DX10")
    assert struct.unpack_from("<I", data, 108)[0] == 0x401008
    dxgi, dimension, misc, array, alpha = struct.unpack_from("<5I", data, 128)
    assert dxgi == (form.dxgi_srgb if srgb and form.dxgi_srgb else form.dxgi)
    assert (dimension, misc, array, alpha) == (3, 0, 1, 0)
    assert data[148:] == b"".join(levels)


def test_pillow_reads_plain_texels_back() -> None:
    texels = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    data = pack_dds([texels.tobytes()], 6, 5, FORMATS["rgba8"], srgb=True, premultiplied=False)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGBA"
        assert np.array_equal(np.asarray(image), texels)
