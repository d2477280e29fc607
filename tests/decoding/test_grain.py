"""Whatever is asked of a file with grain shows the same noise, and none where it is turned off."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gscodec
from gscodec.container.contents import Contents
from gscodec.container.reader import IgsReader
from gscodec.container.writer import pack
from gscodec.decoding import automatic, scaled
from gscodec.model.grain import Grain


def with_grain(data: bytes) -> bytes:
    """The file with strong grain in its first group."""
    with IgsReader(data) as reader:
        contents = Contents(reader.grid, reader.groups, reader.lods, reader.read(0), page_size=8)
    return pack(replace(contents, grain=(Grain(0, 5, 120, (80,) * 8),)))


@pytest.fixture
def grained(build: Callable[..., bytes]) -> bytes:
    return with_grain(build(lods=1))


REQUESTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "larger": {"size": (90, 140)},
    "smaller": {"size": (15, 35)},
    "flat": {"size": (90, 35)},
    "deep": {"dtype": np.uint16},
    "floats": {"dtype": np.float32},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_grain_is_noise_upon_the_picture(grained: bytes, name: str) -> None:
    with gscodec.open(grained, device="cpu") as image, gscodec.open(grained, device="cpu", grain=False) as plain:
        assert image.grain
        assert plain.grain == ()
        noisy, clean = image.render(**REQUESTS[name]), plain.render(**REQUESTS[name])
        assert noisy.dtype == clean.dtype
        top = 1.0 if noisy.dtype.kind == "f" else np.iinfo(noisy.dtype).max
        noise = (noisy.astype(float) - clean) / top
        assert 0.01 < noise.std() < 0.08
        assert abs(noise.mean()) < 4e-3
        again = image.render(**REQUESTS[name])
        assert np.array_equal(again, noisy)
        strips = np.concatenate([rows for _, rows in image.strips(None, None, *_asked(name))])
        assert np.array_equal(strips, noisy)


def _asked(name: str) -> tuple[Any, Any]:
    return REQUESTS[name].get("size"), REQUESTS[name].get("dtype")


def test_regions_tiles_and_points_are_parts_of_the_whole(grained: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaled, "_STRIP_SAMPLES", 3 * 40 * 16)
    with gscodec.open(grained) as image:
        whole = image.render(dtype=np.float32)
        assert np.array_equal(image.render(region=(7, 11, 30, 20), dtype=np.float32), whole[11:31, 7:37])
        for x, y, tile in image.tiles(16, dtype=np.float32):
            assert np.array_equal(tile, whole[y : y + len(tile), x : x + tile.shape[1]])
        columns, rows = np.arange(70), np.arange(70) % 45
        points = np.stack([columns, rows], axis=1) + 0.5
        assert np.array_equal(image.sample(points), whole[rows, columns])
        out = np.empty((70, 3), np.float32)
        assert np.array_equal(image.sample(points, out=out), whole[rows, columns])
        larger = image.render(size=(90, 140))
        assert np.array_equal(image.render(region=(10, 20, 30, 25), size=(50, 60)), larger[40:90, 20:80])
        assert np.array_equal(next(image.mips()), image.render())


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_matter(grained: bytes, threads: int) -> None:
    with gscodec.open(grained, threads=threads) as image, gscodec.open(grained, device="reference") as reference:
        codes = image.render()
        assert np.abs(codes.astype(int) - reference.render()).max() <= 1


def test_thumbnails_have_grain_as_other_reduced_pictures(
    build: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automatic, "EXACT_PIXELS", 1000)
    data = with_grain(build(height=200, width=160, lods=1))
    with gscodec.open(data, device="cpu") as image, gscodec.open(data, device="cpu", grain=False) as plain:
        noise = image.render(size=(25, 20), dtype=np.float32) - plain.render(size=(25, 20), dtype=np.float32)
        exact = image.render(0, size=(25, 20), dtype=np.float32) - plain.render(0, size=(25, 20), dtype=np.float32)
    assert noise.std() == pytest.approx(exact.std(), rel=0.2)


def test_an_unpickled_picture_keeps_the_choice(grained: bytes) -> None:
    with gscodec.open(grained, device="cpu", grain=False) as image, pickle.loads(pickle.dumps(image)) as other:
        assert np.array_equal(image.render(), other.render())


def test_files_are_decoded_with_or_without(grained: bytes, tmp_path: Path) -> None:
    for grain in (True, False):
        gscodec.decode(grained, tmp_path / f"{grain}.png", grain=grain)
        with gscodec.open(grained, grain=grain) as image:
            expected = image.render()
        with Image.open(tmp_path / f"{grain}.png") as written:
            assert np.array_equal(np.asarray(written), expected)
