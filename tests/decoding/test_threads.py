"""Threads: a caller's number reaches every function of the engine that decodes pages, and renders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gscodec
from gscodec import _engine
from gscodec.batch.keys import changed
from gscodec.batch.plan import Manifest, make_items
from gscodec.batch.work import Options, encode_item
from gscodec.cli.app import main
from gscodec.container.reader import IgsReader
from gscodec.container.validate import validate
from gscodec.decoding.image import IgsImage
from gscodec.encoding.api import encode
from gscodec.encoding.settings import EncodeSettings
from gscodec.render.cpu import CpuRasterizer

DECODERS = {"coded": {"decode_pages", "place_pages"}, "packed": {"decode_records"}}
THREADED = ("bin", "render", "sample", "decode_pages", "place_pages", "decode_records")  # the number comes last


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """Numbers of threads by function, as they are called."""
    found: dict[str, set[int]] = {}

    def watched(name: str) -> Callable[..., Any]:
        own = getattr(_engine, name)

        def look(*arguments: Any) -> Any:
            found.setdefault(name, set()).add(arguments[-1])
            return own(*arguments)

        return look

    for name in THREADED:
        monkeypatch.setattr(_engine, name, watched(name))
    return found


@pytest.fixture(scope="module", params=sorted(DECODERS))
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    picture = np.random.default_rng(0).integers(0, 256, (32, 24, 3), np.uint8)
    path = tmp_path_factory.mktemp("threads") / f"{request.param}.igs"
    path.write_bytes(encode(picture, gaussians=20, preset="fast", steps=6, profile=request.param, device="cpu").data)
    return request.param, path


@pytest.mark.parametrize("n", [1, 3])
def test_pages_are_decoded_on_the_threads_given(file: tuple[str, Path], n: int, seen: dict[str, set[int]]) -> None:
    profile, path = file
    with gscodec.open(path, device="cpu", threads=n) as image:
        image.render()
        image.render(size=(5, 5))
        image.sample([(3, 4)])
        list(image.strips(0))
    assert set(seen) == {"bin", "render", "sample"} | DECODERS[profile]
    assert set().union(*seen.values()) == {n}


def test_readers_alone_keep_to_their_threads(file: tuple[str, Path], seen: dict[str, set[int]]) -> None:
    profile, path = file
    with IgsReader(path, threads=2) as reader:
        reader.read()
    assert validate(path, threads=2) == []
    assert seen == {name: {2} for name in DECODERS[profile]}
    seen.clear()
    with IgsReader(path) as reader:
        reader.read()
    assert seen == {name: {0} for name in DECODERS[profile]}  # one per processor


def test_an_engine_passed_in_says_how_many(file: tuple[str, Path], seen: dict[str, set[int]]) -> None:
    with IgsImage(file[1], device=CpuRasterizer(2)) as image:
        image.render()
    assert set().union(*seen.values()) == {2}


def test_commands_keep_to_their_threads(file: tuple[str, Path], tmp_path: Path, seen: dict[str, set[int]]) -> None:
    profile, path = file
    assert main(["decode", str(path), str(tmp_path / "out.png"), "-j", "1"]) == 0
    assert main(["export", str(path), str(tmp_path / "maps"), "--to", "png", "-j", "1"]) == 0
    assert DECODERS[profile] <= set(seen)
    assert set().union(*seen.values()) == {1}


@pytest.mark.parametrize("profile", sorted(DECODERS))
def test_batch_workers_keep_to_their_share(profile: str, tmp_path: Path, seen: dict[str, set[int]]) -> None:
    source, target = tmp_path / "src", tmp_path / "dst"
    source.mkdir()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (32, 24, 3), np.uint8)).save(source / "rock.png")
    settings = changed(EncodeSettings(), {"gaussians": 20, "preset": "fast", "steps": 6, "profile": profile}, "test")
    (item,) = make_items(Manifest(target, source), settings)
    for status in ("encoded", "current"):  # the second looks at every page of the first
        assert encode_item(item, Options(threads=1, device="cpu")).status.value == status
        assert DECODERS[profile] <= set(seen)
        assert set().union(*seen.values()) == {1}
        seen.clear()
