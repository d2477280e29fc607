"""Good files that mutants are made of: those of spec/vectors, and small ones of every profile drawn from a number."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from parts import Chunk, put_together, take_apart

from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.format.files import FileEntry
from gscodec.format.layout import PAGI, PAGT
from gscodec.format.metadata import Metadata
from gscodec.format.page_tree import make_tree
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.model.gaussians import GaussianSet, Grid, LodTable
from gscodec.profiles.lattice import Lattice
from gscodec.profiles.page_heads import fitting_lattice, page_order
from gscodec.profiles.small_codec import lattice_of
from gscodec.profiles.small_steps import SmallSteps

VECTORS: Final = Path(__file__).parents[2] / "spec" / "vectors"

_METADATA: Final = Metadata(
    density=(72.0, 300.0),
    cicp=(9, 16, 0, 1),
    gamma=0.45,
    chromaticities=(0.31, 0.33, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
    content_light=(1000, 400),
    exif=b"MM\0\x2a\0\0\0\x08\0\0\0\0\0\0",
    xmp=b"<x:xmpmeta/>",
)

_PROFILES: Final = ("f16", "packed", "coded")
_RATIONS: Final = ((1, 3, 7, 15, 31, 50, 75, 105, 135, 165, 195, 225), (1, 1, 2, 4, 6, 10, 16, 22, 30, 40, 50, 60))


def drawn(number: int) -> bytes:
    """A small file: sizes, levels, channels, steps and what goes beside them are drawn from the number.

    Profiles take turns, so that three numbers in a row have all of them.
    """
    draw = np.random.default_rng(number)
    profile = _PROFILES[number % 3]
    groups = _groups(draw, number)
    n_channels = sum(group.n_channels for group in groups)
    height, width = (int(side) for side in draw.choice([1, 7, 8, 16, 17, 24, 33, 40], 2))
    n_lods = int(draw.choice([1, 2, 3, 5]))
    counts = tuple(np.sort(draw.integers(0, 36, n_lods)).tolist())
    n = counts[-1]
    gaussians = GaussianSet(
        draw.uniform(0, 1, (n, 2)) * [width, height],
        np.exp(draw.uniform(-3, 0.5, (n, 2))),
        draw.uniform(0, np.pi, n),
        draw.uniform(0, 1, (n, n_channels)).astype(np.float32),
    )
    lods = LodTable(counts, tuple(tuple(draw.uniform(0.5, 1.5, step + 1).tolist()) for step in range(n_lods)))
    grid = Grid(
        height,
        width,
        draw.uniform(0, 1, n_channels).astype(np.float32),
        int(draw.choice([1, 3, 10, 32])),
        float(draw.choice([1.0, 9.0, 25.0, 64.0])),
    )
    contents = Contents(
        grid,
        groups,
        lods,
        gaussians,
        icc=b"no profile " * 9 if draw.random() < 0.3 else None,
        meta={"encoder": "fuzz", "psnr": 31.5, "steps": [1, {"a": None}]} if draw.random() < 0.5 else None,
        page_size=int(draw.choice([3, 8, 128])),
        files=_files(draw, groups, height, width),
        metadata=_METADATA if draw.random() < 0.3 else None,
    )
    return pack(_in_profile(contents, profile, draw))


def with_tree(profile: str) -> bytes:
    """A file with a page tree, far smaller than those that the writer gives one to."""
    draw = np.random.default_rng(len(profile))
    n = 70
    gaussians = GaussianSet(
        draw.uniform(0, 1, (n, 2)) * [40, 24],
        np.exp(draw.uniform(-1, 0.5, (n, 2))),
        draw.uniform(0, np.pi, n),
        draw.uniform(0, 1, (n, 1)).astype(np.float32),
    )
    groups = (ChannelGroup("gray", Role.COLOR, 1),)
    lods = LodTable((20, n), ((1.0,), (1.0, 0.8)))
    contents = Contents(Grid(24, 40, np.zeros(1, np.float32)), groups, lods, gaussians, page_size=2)
    parts = take_apart(pack(_in_profile(contents, profile, draw)))
    with IgsReader(put_together(parts.copy())) as reader:
        index = reader.pages
    pagi = parts.find(PAGI)
    assert pagi is not None
    parts.chunks.remove(pagi)
    lengths = np.diff(index.edges) if profile == "coded" else None
    tree = make_tree(bytes(pagi.raw), index.boxes, lengths, lods.counts, 2)
    parts.chunks.insert(2, Chunk(PAGT, False, 0, bytearray(tree)))
    parts.chunks.insert(-1, Chunk(PAGI, True, 0, pagi.raw))
    return put_together(parts)


def no_entropy() -> bytes:
    """As many Gaussians as bytes may hold, 8 each: those that are all the same cost nothing in profile `coded`."""
    n = 300
    same = GaussianSet(np.full((n, 2), 8.0), np.full((n, 2), 0.5), np.zeros(n), np.full((n, 3), 0.5, np.float32))
    lattice = Lattice(4, -600, (255,) * 12, (4,), np.full(3, 0.5, np.float32), np.eye(3))
    groups = (ChannelGroup("image", n_channels=3),)
    grid = Grid(16, 16, np.zeros(3, np.float32))
    return pack(Contents(grid, groups, LodTable.single(n), same, page_size=32, lattice=lattice))


def sixty_four_channels(profile: str) -> bytes:
    """As many channels as there can be, a group each."""
    draw = np.random.default_rng(64)
    gaussians = GaussianSet(
        draw.uniform(0, 16, (5, 2)),
        np.exp(draw.uniform(-2, 0, (5, 2))),
        draw.uniform(0, np.pi, 5),
        draw.uniform(0, 1, (5, 64)).astype(np.float32),
    )
    groups = tuple(ChannelGroup(f"c{i}", Role.DATA, 1) for i in range(64))
    contents = Contents(Grid(16, 16, np.zeros(64, np.float32)), groups, LodTable.single(5), gaussians)
    return pack(_in_profile(contents, profile, draw))


def with_texts(profile: str) -> bytes:
    """A file with texts of a PNG, up to their limits: a keyword of 79 characters, one of Latin-1, an empty text."""
    draw = np.random.default_rng(79)
    n = 12
    gaussians = GaussianSet(
        draw.uniform(0, 1, (n, 2)) * [24, 17],
        np.exp(draw.uniform(-2, 0.5, (n, 2))),
        draw.uniform(0, np.pi, n),
        draw.uniform(0, 1, (n, 3)).astype(np.float32),
    )
    texts = (
        ("Title", "a picture"),
        ("Title", "the same keyword again"),
        ("k" * 79, "first line\nsecond line\ttab\r"),
        ("\u00dcberschrift \u00ff", "\u202eright to left \U0001f600 \\ \" '"),
        ("Comment", ""),
    )
    metadata = replace(_METADATA, texts=texts)
    grid = Grid(17, 24, np.zeros(3, np.float32))
    groups = (ChannelGroup("image", n_channels=3),)
    contents = Contents(grid, groups, LodTable.single(n), gaussians, page_size=8, metadata=metadata)
    return pack(_in_profile(contents, profile, draw))


def small(number: int) -> bytes:
    """A file of profile `small`."""
    draw = np.random.default_rng(number)
    standard = number % 2 == 0
    n_channels, depth = int(draw.choice([1, 3])), int(draw.choice([8, 16]))
    groups = (ChannelGroup("color", n_channels=n_channels, bit_depth=depth),) if standard else _groups(draw, 3)
    n_channels = sum(group.n_channels for group in groups)
    height, width, n = (int(value) for value in draw.choice([1, 5, 17, 24, 40], 3))
    gaussians = GaussianSet(
        draw.uniform(0, 1, (n, 2)) * [width, height],
        np.exp(draw.uniform(-3, 0.5, (n, 2))),
        draw.uniform(0, np.pi, n),
        draw.uniform(0, 1, (n, n_channels)).astype(np.float32),
    )
    grid = Grid(height, width, draw.uniform(0, 1, n_channels).astype(np.float32))
    steps = SmallSteps(
        int(draw.integers(1, 9)),
        int(draw.integers(60, 130)),
        int(draw.integers(100, 200)),
        int(draw.integers(0, 2)),
        tuple(draw.integers(20, 60, n_channels).tolist()),
    )
    contents = Contents(
        grid,
        groups,
        LodTable.single(n),
        gaussians,
        meta={"a": [1, "b"]} if draw.random() < 0.3 else None,
        lattice=lattice_of(steps, grid, n, groups),
        metadata=_METADATA if draw.random() < 0.3 else None,
    )
    return pack(contents)


def _in_profile(contents: Contents, profile: str, draw: np.random.Generator) -> Contents:
    n_channels = contents.gaussians.n_channels
    if profile == "f16":
        return contents
    if profile == "packed":
        order = page_order(contents.gaussians, contents.grid, contents.lods.counts, contents.page_size)
        ordered = contents.gaussians[order]
        bits = (int(draw.integers(3, 8)), int(draw.integers(3, 8)), *draw.integers(0, 9, n_channels).tolist())
        lattice = fitting_lattice(
            ordered,
            np.eye(n_channels),
            _RATIONS[0],
            int(draw.integers(12, 32)),
            bits,
            contents.grid,
            contents.lods.counts,
            contents.page_size,
        )
        return replace(contents, gaussians=ordered, lattice=lattice)
    least_side = min(contents.grid.height, contents.grid.width)  # a cell is at most twice a side
    lattice = Lattice(
        int(draw.integers(1, 7)),
        int(draw.integers(40, 100)),
        _RATIONS[1],
        tuple(int(cell) for cell in np.minimum(draw.integers(1, 6, len(contents.lods)), least_side.bit_length() - 1)),
        draw.uniform(0.005, 0.05, n_channels).astype(np.float32),
        np.eye(n_channels),
    )
    return replace(contents, lattice=lattice)


def _groups(draw: np.random.Generator, number: int) -> tuple[ChannelGroup, ...]:
    if number % 4 < 2:
        return (ChannelGroup("image", n_channels=int(draw.choice([1, 3])), bit_depth=int(draw.choice([8, 16, 1, 12]))),)
    all_kinds = [
        ChannelGroup("albedo", Role.ALBEDO, 4, 8, alpha=AlphaMode.STRAIGHT, source="a.png"),
        ChannelGroup("paint", Role.COLOR, 2, 16, alpha=AlphaMode.PREMULTIPLIED),
        ChannelGroup("normal", Role.NORMAL, 2, transfer=Transfer.LINEAR, normal=NormalConvention.DX, source="n.png"),
        ChannelGroup("mask", Role.MASK, 1, transfer=Transfer.LINEAR, source="m.tif"),
        ChannelGroup("emissive", Role.EMISSIVE, 3),
        ChannelGroup("opacity", Role.OPACITY, 1, alpha=AlphaMode.STRAIGHT),  # of the group before it
        ChannelGroup(
            "light", Role.EMISSIVE, 3, 16, SampleType.FLOAT, Transfer.ASINH, value_min=-2.0, value_max=9e4, knee_log2=-5
        ),
        ChannelGroup("depth", Role.DATA, 1, 32, SampleType.FLOAT, Transfer.LOG, value_min=1.0, value_max=1e6),
        ChannelGroup("height", Role.HEIGHT, 1, 32, SampleType.FLOAT, Transfer.LINEAR, value_min=-0.5, value_max=2.0),
    ]
    chosen = draw.permutation(len(all_kinds))[: int(draw.integers(1, 5))]
    kinds = [all_kinds[i] for i in sorted(chosen)]
    names = [group.name for group in kinds]
    if "opacity" in names and "emissive" not in names:
        kinds.remove(all_kinds[5])
    return tuple(kinds) or (all_kinds[0],)


def _files(
    draw: np.random.Generator, groups: tuple[ChannelGroup, ...], height: int, width: int
) -> tuple[FileEntry, ...]:
    if len(groups) < 2 or draw.random() < 0.3:
        return ()
    entries = []
    for group in groups:
        name = group.source or f"{group.name}.exr"
        exr: dict[str, Any] = {}
        n_channels = group.n_channels
        if name.endswith(".exr"):
            channels = [{"name": f"x{i}", "type": "half", "place": i} for i in range(n_channels)]
            exr = {"channels": channels, "data_window": [-3, 2, width - 4, height + 1], "pixel_aspect": 1.5}
        unit_z = group.role is Role.NORMAL
        n_channels = 3 if unit_z else n_channels
        entries.append(
            FileEntry(name, width, height, n_channels, (group.name,), unit_z, group.role is Role.MASK, exr=exr)
        )
    flat = ChannelGroup("ao", Role.AO, 1)
    entries.append(FileEntry("ao.png", 8, 8, 1, (), constant=(0.25,), constant_group=flat))
    return tuple(entries)


MADE: Final[dict[str, Callable[[], bytes]]] = {
    "tree_f16": lambda: with_tree("f16"),
    "tree_packed": lambda: with_tree("packed"),
    "tree_coded": lambda: with_tree("coded"),
    "no_entropy": no_entropy,
    "channels_64_f16": lambda: sixty_four_channels("f16"),
    "channels_64_coded": lambda: sixty_four_channels("coded"),
    "channels_64_packed": lambda: sixty_four_channels("packed"),
    **{f"small_{number}": functools.partial(small, number) for number in range(8)},
    **{f"texts_{profile}": functools.partial(with_texts, profile) for profile in ("f16", "coded")},
}

N_DRAWN: Final = 120


def seed_names() -> list[str]:
    """Names of all seeds, in their order."""
    stored = sorted(path.stem for path in VECTORS.glob("*.igs"))
    return [*stored, *MADE, *(f"drawn_{number}" for number in range(N_DRAWN))]


@functools.cache
def seed(name: str) -> bytes:
    """The bytes of a seed."""
    if name in MADE:
        return MADE[name]()
    if name.startswith("drawn_"):
        return drawn(int(name.removeprefix("drawn_")))
    return (VECTORS / f"{name}.igs").read_bytes()
