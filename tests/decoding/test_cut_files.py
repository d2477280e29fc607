"""A file that was cut short is read at the finest level that it still holds, however it is asked."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gscodec.container.reader import IgsReader
from gscodec.decoding.image import IgsImage, open_igs
from gscodec.errors import InvalidArgument, TruncatedStream

Ask = Callable[..., Any]

REQUESTS: dict[str, Ask] = {
    "render": lambda image, **how: image.render(**how),
    "region": lambda image, **how: image.render(region=(3, 5, 30, 20), **how),
    "size": lambda image, **how: image.render(size=(20, 30), **how),
    "strips": lambda image, **how: np.concatenate([rows for _, rows in image.strips(**how)]),
    "tiles": lambda image, **how: np.concatenate([piece.ravel() for _, _, piece in image.tiles(32, **how)]),
    "mips": lambda image, **how: np.concatenate([level.ravel() for level in image.mips(**how)]),
    "files": lambda image, **how: next(iter(image.render_files(**how).values())).samples,
    "mip files": lambda image, **how: [next(iter(one.values())) for one in image.mip_files(**how)][1].samples,
    "sample": lambda image, **how: image.sample([(3.0, 4.0), (60.5, 40.5)], **how),
}


@pytest.fixture(scope="module")
def cut() -> Callable[[bytes, int], bytes]:
    def shortened(data: bytes, lod: int) -> bytes:
        with IgsReader(data) as reader:
            return data[: reader.prefix_size(lod)]

    return shortened


@pytest.mark.parametrize("ask", REQUESTS.values(), ids=REQUESTS.keys())
def test_no_level_means_the_finest_there_is(ask: Ask, igs: bytes, cut: Callable[[bytes, int], bytes]) -> None:
    for lod in range(3):
        with open_igs(cut(igs, lod)) as image, open_igs(igs) as whole:
            np.testing.assert_array_equal(ask(image), ask(whole, lod=lod))
            np.testing.assert_array_equal(ask(image, lod=2), ask(whole, lod=2))
            if lod:
                with pytest.raises(TruncatedStream, match=f"the finest LOD it holds is {lod}"):
                    ask(image, lod=0)
            with pytest.raises(InvalidArgument, match="LOD 3 does not exist"):
                ask(image, lod=3)


@pytest.mark.parametrize("ask", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_file_without_a_level_says_so(ask: Ask, igs: bytes) -> None:
    with IgsReader(igs) as reader:
        bare = igs[: reader.data_offset + 9]
    with open_igs(bare) as image, pytest.raises(TruncatedStream, match="no LOD is complete"):
        ask(image)


def test_every_method_with_a_level_has_the_same_default() -> None:
    defaults = {
        name: inspect.signature(member).parameters["lod"].default
        for name, member in inspect.getmembers(IgsImage, inspect.isfunction)
        if not name.startswith("_") and "lod" in inspect.signature(member).parameters
    }
    assert defaults.pop("prefix_size") is inspect.Parameter.empty, "asks about a level, and shows none"
    assert set(defaults) >= {
        "render",
        "strips",
        "tiles",
        "mips",
        "sample",
        "render_files",
        "mip_files",
        "render_device",
    }
    assert set(defaults.values()) == {None}
