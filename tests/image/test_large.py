"""Sources that are read in parts, and files that are written in parts."""

import io
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from icc_profiles import make_profile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gscodec.errors import BadImage, GsCodecError, InvalidArgument, LimitExceeded, SourceWarning, UnsupportedImage
from gscodec.format.metadata import Metadata
from gscodec.image.file_types import tiff_large
from gscodec.image.file_types.tiff_large import open_large_tiff
from gscodec.image.load import load_image
from gscodec.image.regions import Rect, RegionSource, SpooledPicture
from gscodec.image.save import save_strips
from gscodec.image.stack import ImageStack, is_cmyk, picture_groups
from gscodec.material import load_picture as large
from gscodec.material.load_picture import load_picture
from gscodec.material.tile_folder import TileFolder, find_tiles
from gscodec.model.channels import ChannelGroup, Transfer

Levels = npt.NDArray[Any]

AREAS = (Rect(0, 0, 130, 90), Rect(17, 31, 101, 77), Rect(129, 89, 130, 90))


def noise(dtype: str = "u1", n_channels: int = 3, height: int = 90, width: int = 130) -> Levels:
    top = np.iinfo(dtype).max
    return np.random.default_rng(5).integers(0, top, (height, width, n_channels), dtype, endpoint=True)


def write_tiff(path: Path, levels: Levels, **options: Any) -> Path:
    settings: dict[str, Any] = {"photometric": "rgb" if levels.shape[2] in {3, 4} else "minisblack", "metadata": None}
    if levels.shape[2] in {2, 4} and options.get("photometric") != "separated":
        settings["extrasamples"] = ["unassalpha"]
    settings |= options
    if settings.get("planarconfig") == "separate":
        levels = np.ascontiguousarray(np.moveaxis(levels, 2, 0))
    else:
        settings["planarconfig"] = "contig" if levels.shape[2] > 1 else None
        levels = levels[:, :, 0] if levels.shape[2] == 1 else levels
    tifffile.imwrite(path, levels, **settings)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 7},
        {"rowsperstrip": 7, "compression": "zlib"},
        {"tile": (32, 48)},
        {"tile": (32, 48), "compression": "zlib", "predictor": True},
        {"tile": (16, 16), "bigtiff": True, "byteorder": ">"},
        {"byteorder": ">"},
        {"planarconfig": "separate", "tile": (32, 48), "compression": "zlib"},
        {"planarconfig": "separate", "rowsperstrip": 9},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_parts_of_a_tiff_are_those_of_the_whole(tmp_path: Path, options: dict[str, Any], dtype: str) -> None:
    levels = noise(dtype)
    path = write_tiff(tmp_path / "in.tif", levels, **options)
    source = open_large_tiff(path, 0)
    assert source is not None
    with source:
        assert source.shape == levels.shape
        for area in AREAS:
            assert np.array_equal(source.levels(area), levels[area.slices()])
        assert source.read(AREAS[0]) == pytest.approx(levels / np.iinfo(dtype).max, abs=1e-7)


@pytest.mark.parametrize(
    ("n_channels", "photometric"), [(1, "usual"), (2, "usual"), (4, "usual"), (1, "miniswhite"), (4, "separated")]
)
def test_other_channels_are_those_that_loading_whole_gives(tmp_path: Path, n_channels: int, photometric: str) -> None:
    options: dict[str, Any] = {} if photometric == "usual" else {"photometric": photometric}
    path = write_tiff(tmp_path / "in.tif", noise("u1", n_channels), **options)
    source, stack = open_large_tiff(path, 0), load_image(path)
    assert source is not None
    with source:
        assert source.groups == stack.groups
        assert np.array_equal(source.read(AREAS[0]), stack.samples)
    assert is_cmyk(source.groups) == (photometric == "separated")


def test_tiffs_that_are_small_or_of_other_kinds_are_left_to_the_whole_reader(tmp_path: Path) -> None:
    small = write_tiff(tmp_path / "small.tif", noise())
    assert open_large_tiff(small) is None
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((90, 130), np.float32))
    assert open_large_tiff(tmp_path / "float.tif", 0) is None
    Image.fromarray(noise()[:, :, 0]).convert("1").save(tmp_path / "bits.tif")
    assert open_large_tiff(tmp_path / "bits.tif", 0) is None


def test_a_tiff_that_is_cut_or_turned_is_one_error(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "in.tif", noise(), tile=(32, 48), compression="zlib")
    (tmp_path / "cut.tif").write_bytes(path.read_bytes()[:300])
    with pytest.raises(GsCodecError):
        open_large_tiff(tmp_path / "cut.tif", 0)
    for options in ({}, {"tile": (32, 48), "compression": "zlib"}, {"rowsperstrip": 7, "compression": "zlib"}):
        whole = write_tiff(tmp_path / "whole.tif", noise(), **options).read_bytes()
        (tmp_path / "cut.tif").write_bytes(whole[:-100])
        with pytest.raises(BadImage, match="cut short"):
            open_large_tiff(tmp_path / "cut.tif", 0)
    damaged = bytearray(path.read_bytes())
    damaged[-2000:-1000] = bytes(1000)
    path.write_bytes(damaged)
    source = open_large_tiff(path, 0)
    assert source is not None
    with source, pytest.raises(BadImage, match=r"in\.tif"):
        source.levels(AREAS[0])
    turned = write_tiff(tmp_path / "turned.tif", noise(), extratags=[(274, "H", 1, 6, True)])
    with pytest.raises(UnsupportedImage, match="turned"):
        open_large_tiff(turned, 0)


def test_strips_that_are_too_large_by_themselves_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_large, "MAX_SEGMENT_BYTES", 10_000)
    path = write_tiff(tmp_path / "in.tif", noise(), compression="zlib", rowsperstrip=90)
    with pytest.raises(LimitExceeded, match="tiles of 256x256"):
        open_large_tiff(path, 0)


def test_reading_parts_takes_the_memory_of_parts(tmp_path: Path) -> None:
    levels = np.zeros((4096, 1024, 3), np.uint8)
    for options in ({}, {"tile": (256, 256), "compression": "zlib"}, {"rowsperstrip": 16, "compression": "zlib"}):
        path = write_tiff(tmp_path / "in.tif", levels, **options)
        tracemalloc.start()
        source = open_large_tiff(path, 0)
        assert source is not None
        with source:
            for y in range(0, 4096, 128):
                source.levels(Rect(0, y, 128, y + 128))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < levels.nbytes / 2


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, mode) for kind in ("png", "webp") for mode in ("L", "RGB", "RGBA", "P", "LA")]
    + [("jpg", "L"), ("jpg", "RGB")],
)
def test_large_pictures_of_other_types_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    path = tmp_path / f"in.{kind}"
    Image.fromarray(noise("u1", 4), "RGBA").convert(mode).save(path)
    monkeypatch.setattr(large, "LARGE_PIXELS", 1000)
    source, stack = load_picture([path]), load_image(path)
    assert isinstance(source, ImageStack) == (mode == "P" and kind == "png")
    assert source.groups == stack.groups
    if isinstance(source, RegionSource):
        with source:
            for area in AREAS:
                assert np.array_equal(source.read(area), stack.samples[area.slices()])


def _cut(levels: Levels, folder: Path, pattern: str, rows: list[int], columns: list[int]) -> Path:
    folder.mkdir()
    for r, (y0, y1) in enumerate(pairwise(rows)):
        for c, (x0, x1) in enumerate(pairwise(columns)):
            Image.fromarray(levels[y0:y1, x0:x1]).save(folder / (pattern.format(x=c, y=r, px=x0, py=y0) + ".png"))
    return folder


@pytest.mark.parametrize(
    "pattern",
    [
        "{x}_{y}",
        "map_{x}_{y}",
        "x{x}_y{y}",
        "map-row{y}-col{x}",
        "r{y}c{x}",
        "tile_y{py}_x{px}",
        "a_{x}x{y}",
        "b{px}-{py}",
    ],
)
def test_folders_of_tiles_are_one_picture(tmp_path: Path, pattern: str) -> None:
    levels = noise()
    folder = _cut(levels, tmp_path / "tiles", pattern, [0, 40, 80, 90], [0, 64, 128, 130])
    places = find_tiles(folder)
    assert places is not None
    with TileFolder(places, "tiles") as source:
        assert source.shape == levels.shape
        for area in AREAS:
            assert np.array_equal(source.levels(area), levels[area.slices()])
    stack = load_picture([folder])
    assert isinstance(stack, ImageStack), "a small one goes the ordinary way"
    assert np.array_equal(stack.samples, levels.astype(np.float32) / np.float32(255))


def test_folders_of_maps_are_not_tiles(tmp_path: Path) -> None:
    for name in ("rock_col_1_2.png", "rock_nor_1_2.png", "wall.png"):
        Image.fromarray(noise()).save(tmp_path / name)
    assert find_tiles(tmp_path) is None


def test_tiles_that_are_missing_or_do_not_fit_are_told(tmp_path: Path) -> None:
    folder = _cut(noise(), tmp_path / "tiles", "{x}_{y}", [0, 40, 80, 90], [0, 64, 130])
    (folder / "1_2.png").unlink()
    with pytest.raises(InvalidArgument, match="1 tiles are missing, the first at row 2, column 1"):
        find_tiles(folder)
    Image.fromarray(noise("u1", 3, 10, 65)).save(folder / "1_2.png")
    places = find_tiles(folder)
    assert places is not None
    with pytest.raises(InvalidArgument, match="does not fit"):
        TileFolder(places, "tiles")
    Image.fromarray(noise("u1", 4, 10, 66), "RGBA").save(folder / "1_2.png")
    with TileFolder(places, "tiles") as source, pytest.raises(InvalidArgument, match=r"1_2\.png: has other channels"):
        source.levels(Rect(64, 80, 130, 90))


@pytest.mark.parametrize(("n_channels", "dtype"), [(1, "u1"), (2, "u1"), (3, "u1"), (4, "u2"), (3, "f4")])
def test_what_is_written_in_strips_comes_back(tmp_path: Path, n_channels: int, dtype: str) -> None:
    values = noise("u2", n_channels, 600, 300).astype(dtype)
    strips = ((y, values[y : y + 47]) for y in range(0, 600, 47))
    path = tmp_path / "out.tif"
    groups = picture_groups(n_channels, 8)
    profile = make_profile(b"GRAY" if n_channels < 3 else b"RGB ")
    metadata = Metadata((300.0, 150.0), xmp=b"<x/>")
    save_strips(path, strips, (600, 300), dtype, groups, profile, overwrite=False, metadata=metadata)
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        assert page.is_tiled
        assert not tiff.is_bigtiff
        assert page.iccprofile == profile
        assert np.array_equal(page.asarray().reshape(values.shape), values)
    assert load_image(path).metadata == metadata


def test_writing_takes_the_memory_of_strips_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def strips(fails: bool) -> Iterator[tuple[int, Levels]]:
        for y in range(0, 8192, 32):
            if fails and y > 4000:
                raise InvalidArgument("stopped")
            yield y, np.full((32, 512, 3), y % 251, np.uint8)

    path = tmp_path / "out.tif"
    arguments = ((8192, 512), np.uint8, picture_groups(3, 8), None)
    with pytest.raises(InvalidArgument, match="stopped"):
        save_strips(path, strips(True), *arguments, overwrite=False)
    assert list(tmp_path.iterdir()) == []
    tracemalloc.start()
    save_strips(path, strips(False), *arguments, overwrite=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8192 * 512 * 3 / 2
    assert list(tmp_path.iterdir()) == [path]


def test_several_groups_are_not_one_picture(tmp_path: Path) -> None:
    groups = (ChannelGroup("a", n_channels=1), ChannelGroup("b", n_channels=1))
    with pytest.raises(UnsupportedImage, match="a, b"):
        save_strips(tmp_path / "x.tif", [], (1, 1), np.uint8, groups, None, overwrite=False)


def test_what_a_file_says_is_the_same_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise()
    qoi = io.BytesIO()
    Image.fromarray(pixels).save(qoi, "QOI")
    linear = bytearray(qoi.getvalue())
    linear[13] = 1  # all channels linear
    (tmp_path / "linear.qoi").write_bytes(linear)
    text = PngInfo()
    text.add_text("Comment", "words " * 1000)
    Image.fromarray(pixels).save(tmp_path / "words.png", pnginfo=text)
    whole = load_image(tmp_path / "linear.qoi")
    monkeypatch.setattr("gscodec.material.load_picture.LARGE_PIXELS", 100)
    parts = load_picture([tmp_path / "linear.qoi"])
    assert isinstance(parts, RegionSource)
    with parts:
        assert parts.groups == whole.groups
        assert parts.metadata == whole.metadata
        assert parts.groups[0].transfer is Transfer.LINEAR
    with pytest.warns(SourceWarning, match="Comment"):
        load_picture([tmp_path / "words.png"]).close()  # type: ignore[union-attr]


def test_pictures_whose_name_says_nothing_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise()).save(tmp_path / "b.png")
    Image.fromarray(noise()).save(tmp_path / "b_rough.png")
    monkeypatch.setattr("gscodec.material.load_picture.LARGE_PIXELS", 100)
    reads: list[Rect] = []
    plain = SpooledPicture.read

    def counted(self: SpooledPicture, rect: Rect) -> Levels:
        reads.append(rect)
        return plain(self, rect)

    monkeypatch.setattr(SpooledPicture, "read", counted)
    load_picture([tmp_path / "b.png"]).close()  # type: ignore[union-attr]
    assert not reads
    with pytest.warns(SourceWarning, match="not gray"):
        load_picture([tmp_path / "b_rough.png"]).close()  # type: ignore[union-attr]
    assert reads
