"""The files of spec/vectors that are to be decoded, each made by a function of its name.

Names that begin with `made_` are put together by hand, to reach what the writer never writes. Seeds are part of the
files.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from coded_example import example_file

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.rewrite import chunks_of, coarser_set, with_coarser
from gscodec.container.writer import pack
from gscodec.format.chunks import StoredChunk, assemble
from gscodec.format.crc32c import crc32c_runs
from gscodec.format.files import FileEntry
from gscodec.format.layout import CODEC_DEFLATE
from gscodec.format.page_tree import make_tree
from gscodec.format.tables import pack_lods, pack_pages
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.model.grain import Grain
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.page_heads import fitting_lattice, page_order
from gscodec.profiles.small_codec import lattice_of
from gscodec.profiles.small_steps import SmallSteps


def contents_of(seed: int, counts: Sequence[int], channels: int, size: tuple[int, int], page_size: int) -> Contents:
    """Random contents; the seed is part of the file."""
    rng = np.random.default_rng(seed)
    height, width = size
    n = counts[-1]
    gaussians = GaussianSet(
        rng.uniform(0, 1, (n, 2)) * [width, height],
        np.exp(rng.uniform(-3, 0, (n, 2))),
        rng.uniform(0, np.pi, n),
        rng.uniform(0, 1, (n, channels)).astype(np.float32),
    )
    gains = tuple(tuple(rng.uniform(0.5, 1.0, step + 1).tolist()) for step in range(len(counts)))
    grid = Grid(height, width, rng.uniform(0, 1, channels).astype(np.float32))
    groups = (ChannelGroup("image", n_channels=channels),)
    return Contents(grid, groups, LodTable(tuple(counts), gains), gaussians, page_size=page_size)


def rgb() -> bytes:
    """Three levels, an ICC profile and metadata."""
    picture = contents_of(1, (8, 20, 45), 3, (40, 56), 16)
    return pack(replace(picture, icc=b"not a real profile " * 9, meta={"encoder": "golden", "psnr": 31.5}))


def gray() -> bytes:
    """One level, one channel, one pixel high."""
    return pack(contents_of(2, (7,), 1, (1, 300), 256))


def empty() -> bytes:
    """No Gaussians: background only."""
    return pack(contents_of(3, (0, 0), 3, (20, 20), 256))


def channels_64() -> bytes:
    """As many channels as there can be, one group each."""
    picture = contents_of(4, (3, 5), 64, (5, 17), 2)
    return pack(replace(picture, groups=tuple(ChannelGroup(f"c{i}", Role.DATA, 1) for i in range(64))))


def stack() -> bytes:
    """Every member of every enum."""
    groups = (
        ChannelGroup("color", Role.COLOR, 4, 16, alpha=AlphaMode.STRAIGHT, source="Pflaster Größe.png"),
        ChannelGroup("albedo", Role.ALBEDO, 2, 8, alpha=AlphaMode.PREMULTIPLIED),
        ChannelGroup("normal_gl", Role.NORMAL, 3, transfer=Transfer.LINEAR, normal=NormalConvention.GL),
        ChannelGroup("normal_dx", Role.NORMAL, 3, transfer=Transfer.LINEAR, normal=NormalConvention.DX),
        ChannelGroup("ao", Role.AO, 1, 1),
        ChannelGroup("roughness", Role.ROUGHNESS, 1, 12),
        ChannelGroup("metalness", Role.METALNESS, 1),
        ChannelGroup("height", Role.HEIGHT, 1, 32, SampleType.FLOAT, Transfer.LINEAR, value_min=-0.5, value_max=2.0),
        ChannelGroup("opacity", Role.OPACITY, 1),
        ChannelGroup("mask", Role.MASK, 1),
        ChannelGroup("emissive", Role.EMISSIVE, 3, 16, SampleType.FLOAT, Transfer.LOG, value_max=100.0),
        ChannelGroup("data", Role.DATA, 2),
    )
    return pack(replace(contents_of(5, (10, 21), 23, (30, 30), 8), groups=groups))


def coded_of(contents: Contents, scale_step: int, transform: np.ndarray) -> Contents:
    """The same in profile `coded`, on a lattice that is part of the file."""
    lattice = Lattice(
        scale_step,
        75,
        (1, 1, 3, 4, 6, 10, 15, 21, 29, 38, 48, 60),
        tuple(3 + len(contents.lods) - m for m in range(len(contents.lods))),
        np.linspace(0.01, 0.04, contents.gaussians.n_channels).astype(np.float32),
        transform,
    )
    return replace(contents, lattice=lattice)


def coded_rgb() -> bytes:
    """Profile `coded`: three levels, several pages, features turned."""
    turn = np.array([[0.5, 0.5, 0.5], [0.75, 0, -0.75], [-0.5, 1, -0.5]])
    return pack(replace(coded_of(contents_of(11, (20, 60, 150), 3, (70, 90), 32), 4, turn), meta={"encoder": "golden"}))


def coded_stack() -> bytes:
    """Profile `coded`: two groups, values beyond the split of their tables, one Gaussian on the coarsest level."""
    contents = contents_of(12, (1, 40), 4, (33, 200), 16)
    groups = (ChannelGroup("color", n_channels=3), ChannelGroup("height", Role.HEIGHT, 1))
    wild = contents.gaussians.features * np.array([1, 1, 1, 50], np.float32)
    return pack(
        replace(coded_of(contents, 1, np.eye(4)), groups=groups, gaussians=replace(contents.gaussians, features=wild))
    )


def coded_sloped() -> bytes:
    """Profile `coded`: feature steps that fall with the area of a Gaussian."""
    contents = coded_of(contents_of(23, (30, 90), 3, (60, 80), 32), 3, np.eye(3))
    assert contents.lattice is not None
    return pack(replace(contents, lattice=replace(contents.lattice, feature_slope=24)))


def ladder(contents: Contents) -> bytes:
    """A file with two coarser sets: one of profile `small`, and one of the profile and the groups of the file."""
    height, width = contents.grid.height, contents.grid.width
    n_channels, background = contents.gaussians.n_channels, contents.grid.background
    sets = []
    for seed, counts, scale_log2 in ((31, (9,), 3), (32, (12, 25), 2)):
        side = 1 << scale_log2
        part = contents_of(seed, counts, n_channels, (-(-height // side), -(-width // side)), 10)
        part = replace(part, grid=replace(part.grid, background=background), groups=contents.groups)
        if len(counts) == 1:
            steps = SmallSteps(4, 60, 20, 0, (5,) * n_channels)
            part = replace(part, lattice=lattice_of(steps, part.grid, counts[0], part.groups))
        elif contents.lattice is not None and contents.lattice.records is not None:
            part = packed_of(part, 22, (5, 4, *(6,) * n_channels), np.eye(n_channels))
        elif contents.lattice is not None:
            part = coded_of(part, 3, np.eye(n_channels))
        sets.append(coarser_set(pack(part), scale_log2))
    return with_coarser(pack(contents), sets)


def ladder_coded() -> bytes:
    """Profile `coded`: five levels in three sets, with metadata on both sides of them."""
    contents = coded_of(contents_of(33, (40, 110), 3, (90, 70), 32), 4, np.eye(3))
    return ladder(replace(contents, icc=b"not a real profile " * 9, meta={"encoder": "golden"}))


def ladder_f16() -> bytes:
    """Profile `f16`: several groups, pages of one Gaussian."""
    groups = (ChannelGroup("color", n_channels=3, source="a.png"), ChannelGroup("height", Role.HEIGHT, 1))
    return ladder(replace(contents_of(34, (60,), 4, (33, 200), 1), groups=groups))


def ladder_packed() -> bytes:
    """Profile `packed`."""
    return ladder(packed_of(contents_of(35, (30, 80), 3, (64, 48), 20), 24, (6, 5, 7, 7, 7), np.eye(3)))


def made_ladder_cut() -> bytes:
    """The first bytes of a file: the coarsest set, and a part of the next."""
    data = ladder_coded()
    with IgsReader(data) as reader:
        return data[: reader.prefix_size(3) - 7]


def grain() -> bytes:
    """Film grain of two groups, one with an alpha, beside data without."""
    groups = (
        ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),
        ChannelGroup("roughness", Role.ROUGHNESS, 1),
        ChannelGroup("emissive", Role.EMISSIVE, 1, 16),
    )
    noise = (Grain(0, 4, 100, (0, 20, 60, 100, 255, 60, 30, 10)), Grain(2, 0, 255, (40,) * 8))
    return pack(replace(contents_of(24, (10, 40), 6, (37, 50), 16), groups=groups, grain=noise))


def packed_of(contents: Contents, place_bits: int, bits: tuple[int, ...], transform: np.ndarray) -> Contents:
    """The same in profile `packed`, on records that are part of the file."""
    ordered = contents.gaussians[
        page_order(contents.gaussians, contents.grid, contents.lods.counts, contents.page_size)
    ]
    lattice = fitting_lattice(
        ordered,
        transform,
        (1, 3, 7, 15, 31, 50, 75, 105, 135, 165, 195, 225),
        place_bits,
        bits,
        contents.grid,
        contents.lods.counts,
        contents.page_size,
    )
    return replace(contents, gaussians=ordered, lattice=lattice)


def packed_rgb() -> bytes:
    """Profile `packed`: three levels, several pages, features turned, records of six bytes."""
    turn = np.array([[0.5, 0.5, 0.5], [0.75, 0, -0.75], [-0.5, 1, -0.5]])
    picture = packed_of(contents_of(21, (20, 60, 150), 3, (70, 90), 32), 22, (5, 5, 6, 5, 5), turn)
    return pack(replace(picture, meta={"encoder": "golden"}))


def packed_stack() -> bytes:
    """Profile `packed`: two groups, a field without bits, the widest place, bits to spare, one Gaussian alone."""
    contents = contents_of(22, (1, 40), 4, (33, 200), 16)
    groups = (ChannelGroup("color", n_channels=3), ChannelGroup("height", Role.HEIGHT, 1))
    wild = contents.gaussians.features * np.array([1, 1, 1, 50], np.float32)
    contents = replace(contents, groups=groups, gaussians=replace(contents.gaussians, features=wild))
    return pack(packed_of(contents, 31, (7, 6, 0, 9, 8, 24), np.eye(4)))


def source_files() -> bytes:
    """A stack with what its files were: a normal map without Z, a mask, a constant, and layers of OpenEXR."""
    contents = contents_of(13, (9, 30), 6, (24, 40), 16)
    radiance = ChannelGroup(
        "radiance", Role.COLOR, 1, 16, SampleType.FLOAT, Transfer.ASINH, value_min=-2.0, value_max=900.0, knee_log2=-5
    )
    groups = (
        ChannelGroup("normal", Role.NORMAL, 2, transfer=Transfer.LINEAR, normal=NormalConvention.DX, source="n.png"),
        ChannelGroup("mask", Role.MASK, 1, transfer=Transfer.LINEAR, source="m.tif"),
        radiance,
        ChannelGroup("depth", Role.DATA, 2, 32, SampleType.FLOAT, Transfer.LINEAR, value_max=1e6),
    )
    exr = {
        "channels": [{"name": "Y", "type": "half", "place": 0}, {"name": "Z", "type": "float", "place": 2}],
        "data_window": [-3, 2, 16, 13],
        "display_window": [0, 0, 15, 15],
    }
    files = (
        FileEntry("n.png", 40, 24, 3, ("normal",), unit_z=True),
        FileEntry("m.tif", 80, 48, 4, ("mask",), binary=True),
        FileEntry("ao.png", 8, 8, 1, (), constant=(0.25,), constant_group=ChannelGroup("ao", Role.AO, 1)),
        FileEntry("light.exr", 20, 12, 2, ("radiance", "depth"), exr=exr),
    )
    return pack(replace(contents, groups=groups, files=files))


def _parts(data: bytes) -> tuple[dict[str, object], list[StoredChunk]]:
    values, chunks = chunks_of(data)
    return values, chunks


def made_unknown_ancillary() -> bytes:
    """Chunks of unknown types before and after the Gaussians, with an unknown codec, one of them twice."""
    values, chunks = _parts(pack(contents_of(6, (6, 12), 3, (24, 24), 8)))
    new = StoredChunk(b"xNEW", False, 3, b"from the future", 99_999_999_999)
    return assemble(values, [new, *chunks[:3], new, chunks[3], replace(new, fourcc=b"tail")])


def made_deflated_tables() -> bytes:
    """All tables deflated, in reverse order."""
    picture = contents_of(7, (*(12,) * 15, 24), 12, (40, 24), 2)
    picture = replace(
        picture,
        grid=replace(picture.grid, background=np.zeros(12, np.float32)),
        lods=LodTable(picture.lods.counts, tuple((0.5,) * (step + 1) for step in range(16))),
    )
    values, chunks = _parts(pack(picture))
    tables = [replace(c, codec=CODEC_DEFLATE, stored=zlib.compress(c.stored, 9)) for c in reversed(chunks[:3])]
    return assemble(values, [*tables, *chunks[3:]])


def made_single_gain() -> bytes:
    """One level, with a gain that is not 1: LODS is there."""
    picture = contents_of(45, (12,), 1, (24, 40), 5)
    return pack(replace(picture, lods=LodTable((12,), ((0.75,),))))


def made_extreme_records() -> bytes:
    """Means on all borders, the least and largest of each word, zeros of both signs, denormals, out of Morton order."""
    values, chunks = _parts(pack(contents_of(8, (2, 4), 2, (50, 90), 2)))
    words = [
        [65535, 65535, 0x5400, 0x5400, 65535, 0x7BFF, 0xFBFF],
        [0, 0, 0x0400, 0x0400, 0, 0x8000, 0x0000],
        [65535, 0, 0x0400, 0x5400, 32768, 0x0001, 0x8001],
        [0, 65535, 0x5400, 0x0400, 1, 0x03FF, 0x3C00],
    ]
    data = np.array(words, "<u2")
    crcs = crc32c_runs(data.reshape(-1).view(np.uint8), np.array([28, 28]))
    boxes = np.array([[0, 0, 5, 3]] * 2)
    lods = LodTable((2, 4), ((1 / 64,), (64.0, 1 / 64)))
    tables = [
        chunks[0],
        StoredChunk.plain(b"LODS", pack_lods(lods)),
        StoredChunk.plain(b"PAGI", pack_pages(boxes, crcs, None)),
        StoredChunk.plain(b"GAUS", data.tobytes()),
    ]
    return assemble({**values, "top_k": 1, "support_q": 64.0}, tables)


def small_of(contents: Contents, steps: SmallSteps) -> Contents:
    """The same in profile `small`."""
    lattice = lattice_of(steps, contents.grid, len(contents.gaussians), contents.groups)
    return replace(contents, lattice=lattice)


def small_rgb() -> bytes:
    """Profile `small`: a layout without CHAN, luma and chroma."""
    groups = (ChannelGroup("color", n_channels=3),)
    contents = replace(contents_of(21, (30,), 3, (40, 56), 4096), groups=groups)
    return pack(small_of(contents, SmallSteps(6, 80, 133, 1, (32, 35, 40))))


def small_stack() -> bytes:
    """Profile `small`: CHAN, an ICC profile and metadata beside it, five channels in two groups."""
    groups = (ChannelGroup("color", n_channels=4), ChannelGroup("height", Role.HEIGHT, 1, 12))
    contents = replace(contents_of(22, (12,), 5, (7, 300), 4096), groups=groups)
    contents = replace(contents, icc=b"not a real profile " * 9, meta={"key": "golden"})
    return pack(small_of(contents, SmallSteps(3, 120, 170, 1, (24, 40, 56, 32, 60))))


def made_cut() -> bytes:
    """Cut inside the finest level: LODs 1 and 2 remain, the metadata is gone."""
    data = pack(replace(contents_of(9, (5, 10, 30), 3, (32, 48), 4), meta={"gone": True}))
    return data[: IgsReader(data).prefix_size(1) + 50]


def alpha_groups() -> tuple[ChannelGroup, ...]:
    """Color with a straight alpha, and a mask."""
    return (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT), ChannelGroup("mask", Role.MASK, 1, 16))


def coded_hdr() -> bytes:
    """Profile `coded`: float samples in asinh, negative ones too, with a premultiplied alpha; 32-bit floats in log."""
    contents = coded_of(contents_of(41, (14, 40), 5, (28, 40), 16), 2, np.eye(5))
    groups = (
        ChannelGroup(
            "light",
            n_channels=4,
            bit_depth=16,
            sample_type=SampleType.FLOAT,
            transfer=Transfer.ASINH,
            alpha=AlphaMode.PREMULTIPLIED,
            value_min=-0.25,
            value_max=600.0,
            knee_log2=-4,
        ),
        ChannelGroup("depth", Role.DATA, 1, 32, SampleType.FLOAT, Transfer.LOG, value_min=0.5, value_max=2000.0),
    )
    return pack(replace(contents, groups=groups))


def packed_alpha() -> bytes:
    """Profile `packed`: a straight alpha that is 0 in places and 1 in others, and 16-bit samples."""
    contents = contents_of(42, (12, 36), 5, (30, 36), 16)
    features = contents.gaussians.features.copy()
    features[:, 3] = features[:, 3] * 2 - 0.5
    contents = replace(contents, groups=alpha_groups(), gaussians=replace(contents.gaussians, features=features))
    return pack(packed_of(contents, 20, (5, 5, 6, 6, 6, 7, 8), np.eye(5)))


def made_page_tree() -> bytes:
    """A page tree, in a file so small that the writer would leave it out."""
    data = pack(contents_of(43, (20, 60), 1, (60, 100), 1))
    values, chunks = chunks_of(data)
    with IgsReader(data) as reader:
        tree = make_tree(chunks[2].stored, reader.pages.boxes, None, reader.lods.counts, 1)
    return assemble(values, [*chunks[:2], StoredChunk.plain(b"PAGT", tree), *chunks[2:]])


def arriving() -> bytes:
    """Profile `coded`: levels of compact pages, so that tiles of a cut file have different levels."""
    contents = contents_of(44, (16, 60, 180), 1, (48, 64), 10)
    small = replace(contents.gaussians, inv_scales=contents.gaussians.inv_scales * 1.5 + 0.4)
    order = page_order(small, contents.grid, contents.lods.counts, contents.page_size)
    return pack(coded_of(replace(contents, gaussians=small[order]), 3, np.eye(1)))


def made_half_cut() -> bytes:
    """Cut inside the second level: a few tiles have all of it."""
    data = arriving()
    with IgsReader(data) as reader:
        return data[: (reader.prefix_size(2) + 5 * reader.prefix_size(1)) // 6]


def made_first_cut() -> bytes:
    """Cut inside the coarsest level: some tiles have all of it, the others show the background."""
    data = arriving()
    with IgsReader(data) as reader:
        return data[: reader.data_offset + int(reader.pages.edges[1])]


def made_most_cut() -> bytes:
    """Cut inside the finest level: tiles of two levels."""
    data = arriving()
    with IgsReader(data) as reader:
        return data[: (reader.prefix_size(1) + 4 * reader.prefix_size(0)) // 5]


def example_coded() -> bytes:
    """The file of section 17.2 of the specification."""
    return example_file()


CASES: Final[dict[str, Callable[[], bytes]]] = {
    case.__name__: case
    for case in (
        rgb,
        gray,
        empty,
        channels_64,
        stack,
        coded_rgb,
        coded_stack,
        coded_sloped,
        grain,
        packed_rgb,
        packed_stack,
        small_rgb,
        small_stack,
        source_files,
        made_unknown_ancillary,
        made_deflated_tables,
        made_single_gain,
        made_extreme_records,
        made_cut,
        ladder_coded,
        ladder_f16,
        ladder_packed,
        made_ladder_cut,
        coded_hdr,
        packed_alpha,
        made_page_tree,
        arriving,
        made_first_cut,
        made_half_cut,
        made_most_cut,
        example_coded,
    )
}
