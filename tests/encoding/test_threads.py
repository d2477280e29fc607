"""The limit on threads that a caller sets reaches every parallel loop of the engine, stage by stage."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

import gscodec
from gscodec import _engine
from gscodec.container.validate import validate

LIMITS: Final = (1, 3)  # few machines have three processors: the default, one thread for each, is neither

STAGES: Final[dict[str, dict[str, Any]]] = {
    "f16": {"profile": "f16"},
    "packed": {"profile": "packed"},
    "coded": {"profile": "coded"},
    "small": {"profile": "small", "lods": 1},
    "psnr": {"tune": "psnr"},
    "importance": {"importance": "auto"},
    "levels": {"lods": 3},
    "bytes": {"size": 900, "gaussians": None},
    "block": {"block": 64},
}


def limits_of(stage: Callable[[], object]) -> list[int]:
    """How many threads the loops of a stage were allowed."""
    _engine.take_thread_limits()
    stage()
    return _engine.take_thread_limits()


@pytest.fixture(scope="module")
def picture() -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[0:72, 0:88]
    values = np.stack([np.sin(x / 7), np.cos(y / 5), np.sin((x + y) / 9)], axis=-1)
    return np.round(127.5 + 120 * values).astype(np.uint8)


def encoded(picture: npt.NDArray[np.uint8], threads: int, **options: Any) -> bytes:
    settings: dict[str, Any] = {
        "gaussians": 60,
        "preset": "fast",
        "steps": 12,
        "device": "cpu",
        "threads": threads,
        **options,
    }
    return gscodec.encode(picture, **settings).data


@pytest.mark.parametrize("threads", LIMITS)
@pytest.mark.parametrize("stage", STAGES)
def test_encoding(picture: npt.NDArray[np.uint8], stage: str, threads: int) -> None:
    assert limits_of(lambda: encoded(picture, threads, **STAGES[stage])) == [threads]


@pytest.mark.parametrize("threads", LIMITS)
@pytest.mark.parametrize("profile", ["f16", "packed", "coded"])
def test_reading(picture: npt.NDArray[np.uint8], profile: str, threads: int, tmp_path: Path) -> None:
    data = encoded(picture, 1, profile=profile)
    (tmp_path / "a.igs").write_bytes(data)

    def read() -> None:
        with gscodec.open(data, device="cpu", threads=threads) as image:
            image.render()
            image.render(size=(40, 30))
            image.sample(np.array([[3.0, 4.0]]))
            list(image.strips())
        gscodec.decode(tmp_path / "a.igs", tmp_path / "a.png", device="cpu", threads=threads)

    assert limits_of(read) == [threads]
    # Pages of f16 are arrays: nothing about them is divided.
    checked = limits_of(lambda: validate(data, threads=threads))
    assert checked == ([] if profile == "f16" else [threads])


def test_the_default_is_a_thread_for_each_processor(picture: npt.NDArray[np.uint8]) -> None:
    with gscodec.open(encoded(picture, 1), device="cpu") as image:
        (limit,) = limits_of(image.render)
    assert limit >= 1
    assert _engine.take_thread_limits() == []


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads of a process in /proc")
def test_a_process_has_no_more_threads_than_that() -> None:
    """Not those of the libraries that an encode uses either, but for what they start when they are imported."""
    code = (
        "import os, numpy as np, gscodec\n"
        "import gscodec.fit.loop\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "x = np.linspace(0, 255, 96 * 96 * 3).reshape(96, 96, 3).astype(np.uint8)\n"
        f"for threads in {LIMITS}:\n"
        "    gscodec.encode(x, gaussians=80, preset='fast', steps=12, device='cpu', threads=threads)\n"
        "    print(1 + len(os.listdir('/proc/self/task')) - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert tuple(map(int, done.stdout.split())) == LIMITS
