"""The main decoder and every engine are held to spec/vectors; the C reader is in tests/spec/test_reader.py."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_vectors import text_of
from refused import REFUSED, REFUSED_SETS
from software_gpu import software_gpu
from vector_cases import CASES
from vectors import VECTORS, Vector, index, largest_miss, samples_of, vectors

from gscodec.container.reader import IgsReader
from gscodec.container.validate import Severity, validate
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.errors import GsCodecError, TruncatedStream
from gscodec.format.profile_table import LAYOUTS
from gscodec.model.channels import AlphaMode, ChannelGroup, NormalConvention, Role, SampleType, Transfer
from gscodec.model.gaussians import GaussianSet, Grid, Window
from gscodec.model.rendering import OutputDtype, TileIndex
from gscodec.render.base import Rasterizer
from gscodec.render.cpu import CpuRasterizer, available_isas
from gscodec.render.reference import ReferenceRasterizer
from gscodec.render.webgpu import WebGpuRasterizer

FIELDS = ("means", "inv_scales", "rotations", "features")
each_vector = pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector.name)


def test_the_index_names_all_files_and_nothing_else() -> None:
    named = {entry["file"] for entry in [*index()["decode"], *index()["refuse"]]}
    assert {path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*.igs")} == named
    assert {path.stem for path in VECTORS.glob("*.bin")} == {vector.name for vector in vectors()}
    assert text_of(index()) == (VECTORS / "index.json").read_text(encoding="utf-8")


def test_files_are_small() -> None:
    sizes = [path.stat().st_size for path in VECTORS.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in VECTORS.rglob("*.igs")) <= 4096
    assert sum(sizes) <= 350_000


def test_the_scripts_make_all_that_is_there() -> None:
    """Files to decode outlive choices of the writer, such as which Gaussians share a page; those to refuse do not."""
    assert set(CASES) == {vector.name for vector in vectors()}
    for name, (make, *_) in (REFUSED | REFUSED_SETS).items():
        assert make() == (VECTORS / "refused" / f"{name}.igs").read_bytes(), name


def test_all_profiles_levels_and_channel_layouts_are_there() -> None:
    entries = index()["decode"]
    assert {entry["profile"] for entry in entries} == {layout.name for layout in LAYOUTS.values()}
    assert {entry["lods"] for entry in entries} >= {1, 2, 3, 5, 16}
    groups = [group for entry in entries for group in entry["groups"]]
    members: dict[str, type[StrEnum]] = {
        "role": Role,
        "transfer": Transfer,
        "alpha": AlphaMode,
        "normal": NormalConvention,
        "sample_type": SampleType,
    }
    for field, kind in members.items():
        assert {group.get(field, getattr(ChannelGroup(""), field)) for group in groups} == {*kind}, field
    assert sum(bool(entry["truncated"]) for entry in entries) >= 4


@each_vector
def test_the_file_states_what_the_index_says(vector: Vector) -> None:
    entry = vector.entry
    with IgsReader(vector.path) as reader:
        assert LAYOUTS[reader.header.profile].name == entry["profile"]
        assert (reader.grid.width, reader.grid.height, reader.n_lods) == (
            entry["width"],
            entry["height"],
            entry["lods"],
        )
        assert reader.grid.background.tolist() == entry["background"]
        assert [ChannelGroup(**group) for group in entry["groups"]] == list(reader.groups)
        held = tuple(lod for lod in range(entry["lods"]) if lod not in entry["truncated"])
        assert reader.available_lods == held == tuple(level["lod"] for level in entry["levels"])
        for lod in entry["truncated"]:
            with pytest.raises(TruncatedStream):
                reader.read(lod)
    errors = [issue for issue in validate(vector.path) if issue.severity is Severity.ERROR]
    assert len(errors) == bool(entry["truncated"]), errors


@each_vector
def test_gaussians(vector: Vector) -> None:
    with IgsReader(vector.path) as reader:
        for level in vector.entry["levels"]:
            gaussians = reader.read(level["lod"])
            for field in FIELDS:
                np.testing.assert_array_equal(getattr(gaussians, field), vector.array(level[field]))


@pytest.fixture(scope="module", params=["reference", "gpu", *available_isas()])
def engine(request: pytest.FixtureRequest) -> Rasterizer:
    if request.param == WebGpuRasterizer.name:
        return software_gpu()
    return ReferenceRasterizer() if request.param == "reference" else CpuRasterizer(isa=request.param)


def misses(vector: Vector, engine: Rasterizer) -> list[float]:
    """How far each group of each picture is off, as a multiple of what is allowed."""
    found: list[float] = []
    with (
        open_igs(vector.path, device=engine) as image,
        open_igs(vector.path, device=engine, grain=False) as plain,
    ):
        for picture in vector.entry["pictures"]:
            step, values = picture["step"], shown(image if picture.get("grain") else plain, picture)
            got = samples_of(values[::step, ::step], image.groups)
            for group, part, place in zip(image.groups, got, picture["samples"], strict=True):
                assert part.shape == tuple(place[2])
                found.append(largest_miss(part, vector.array(place), group))
    return found


def shown(image: IgsImage, picture: dict[str, Any]) -> np.ndarray:
    """What a picture of the index shows, as float32 values."""
    if "tiles" in picture:
        return image.render(available=True, dtype=np.float32)
    return image.render(picture["lod"], picture.get("region"), picture.get("size"), np.float32)


@each_vector
def test_pictures(engine: Rasterizer, vector: Vector) -> None:
    assert max(misses(vector, engine)) <= 1


@each_vector
def test_tiles_of_what_has_arrived(vector: Vector) -> None:
    for picture in (picture for picture in vector.entry["pictures"] if "tiles" in picture):
        with open_igs(vector.path) as image:
            np.testing.assert_array_equal(image.arrived(), vector.array(picture["tiles"]))


def test_cut_files_show_tiles_of_several_levels() -> None:
    pictures = [(v, picture) for v in vectors() for picture in v.entry["pictures"] if "tiles" in picture]
    assert max(len(np.unique(vector.array(picture["tiles"]))) for vector, picture in pictures) > 1


def test_nearly_all_files_show_something() -> None:
    for vector in vectors():
        spans = [np.ptp(vector.array(place).astype(float)) for p in vector.entry["pictures"] for place in p["samples"]]
        assert max(spans) > 40 or vector.name == "made_extreme_records", vector.name


class Wider(CpuRasterizer):
    """Renders every Gaussian 2 % wider: what a mistake in the formula of weights looks like."""

    def forward(
        self, gaussians: GaussianSet, grid: Grid, index: TileIndex, window: Window, dtype: OutputDtype = "float32"
    ) -> np.ndarray:
        wider = GaussianSet(gaussians.means, gaussians.inv_scales / 1.02, gaussians.rotations, gaussians.features)
        return super().forward(wider, grid, index, window, dtype)


@pytest.mark.parametrize("name", ["rgb", "coded_hdr", "coded_stack", "packed_rgb", "small_rgb", "stack"])
def test_a_change_of_weights_is_found(name: str) -> None:
    (vector,) = (vector for vector in vectors() if vector.name == name)
    assert max(misses(vector, Wider())) > 1


@pytest.mark.parametrize("entry", index()["refuse"], ids=lambda entry: Path(entry["file"]).stem)
def test_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(GsCodecError) as caught, IgsReader(VECTORS / entry["file"]) as reader:
        reader.read(entry.get("lod", 0))
    assert type(caught.value).__name__ == entry["error"]
    assert any(issue.severity is Severity.ERROR for issue in validate(VECTORS / entry["file"]))


def test_every_error_is_among_the_refused() -> None:
    assert {entry["error"] for entry in index()["refuse"]} == {
        "BadMagic",
        "TruncatedStream",
        "UnsupportedVersion",
        "UnsupportedChunk",
        "ChecksumMismatch",
        "LimitExceeded",
        "CorruptField",
    }


def test_deflated_tables_and_page_trees_are_there() -> None:
    with IgsReader(VECTORS / "made_deflated_tables.igs") as reader:
        assert [chunk.label for chunk in reader.chunks if chunk.codec] == ["PAGI", "LODS", "CHAN"]
    with IgsReader(VECTORS / "made_page_tree.igs") as reader:
        assert "PAGT" in [chunk.label for chunk in reader.chunks]
