"""A batch on several GPUs: a process has one, and what it makes does not tell which."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from host_machine import OnHostMachine, host_machine
from PIL import Image

from gscodec.batch.gpus import WORKERS_PER_GPU, most_workers, worker_devices
from gscodec.batch.keys import changed
from gscodec.batch.outcome import Status
from gscodec.batch.plan import Item, Manifest, make_items
from gscodec.batch.pool import Event, Task, run_tasks
from gscodec.batch.run import EncodeTask, encode_all, share_threads
from gscodec.batch.state import State
from gscodec.batch.work import Options
from gscodec.cli.app import main
from gscodec.cuda import device
from gscodec.cuda.device import Gpu, Probe
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import BackendUnavailable, MissingExtra
from gscodec.render.engines import parse_device, usable_gpus

AUTO = parse_device("auto")
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of four small pictures."""
    folder = tmp_path / "in"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
        Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8))).save(folder / f"{name}.png")
    return folder


def items_of(source: Path, target: Path) -> list[Item]:
    quick = {"gaussians": 20, "preset": "fast", "steps": 5, "lods": 1}
    return make_items(Manifest(target, source), changed(EncodeSettings(), quick, "test"))


def here(tasks: Sequence[Task]) -> Iterator[Event]:
    for number, task in enumerate(tasks):
        yield "done", number, task.run(lambda _: None)


def test_every_process_opens_a_gpu_of_its_own(pictures: Path, tmp_path: Path) -> None:
    opened: dict[int, set[int]] = defaultdict(set)

    def dispatch(tasks: Sequence[Task]) -> Iterator[Event]:
        wrapped = [OnHostMachine(task, n_gpus=2) for task in tasks]
        for kind, number, value in run_tasks(wrapped, 2, 1, worker_devices(AUTO, (0, 1))):
            if kind != "done":
                yield kind, number, value
                continue
            outcome, process, gpus = value
            opened[process].update(gpus)
            yield kind, number, outcome

    several, one = items_of(pictures, tmp_path / "several"), items_of(pictures, tmp_path / "one")
    options = Options(threads=1)
    outcomes = encode_all(several, options, dispatch, State(tmp_path / "several"))
    assert [outcome.status for outcome in outcomes] == [Status.ENCODED] * 4
    assert sorted(opened.values(), key=str) == [{0}, {1}]
    with host_machine(1) as runtimes:
        outcomes = encode_all(one, options, here, State(tmp_path / "one"))
    assert [outcome.status for outcome in outcomes] == [Status.ENCODED] * 4
    assert set(runtimes) == {0}
    for item, other in zip(several, one, strict=True):
        assert item.output.read_bytes() == other.output.read_bytes()
    # Whoever made them, and on whichever device: they are current.
    again = encode_all(several, replace(options, device="cpu"), here, State(tmp_path / "several"))
    assert [outcome.status for outcome in again] == [Status.CURRENT] * 4


def test_an_encode_stays_on_the_gpu_that_was_named(pictures: Path, tmp_path: Path) -> None:
    """Kernels and arrays of one GPU never meet another: the shim refuses it, as CUDA does."""
    item = items_of(pictures, tmp_path / "out")[0]
    with host_machine(3) as opened:
        outcome = EncodeTask(item, Options(threads=1)).on("cuda:2").run(lambda _: None)
    assert (outcome.status, outcome.message) == (Status.ENCODED, "")
    assert set(opened) == {2}


@dataclass(frozen=True)
class Placed:
    """Tells its device and process; or ends that; or waits for a file, or makes it."""

    name: str
    dies: bool = False
    waits: Path | None = None
    makes: Path | None = None
    device: str = "none"

    def on(self, device: str) -> Self:
        return replace(self, device=device)

    def run(self, report: Callable[[Any], None]) -> tuple[str, int]:
        report(self.device)
        if self.makes is not None:
            self.makes.touch()
        while self.waits is not None and not self.waits.exists():
            time.sleep(0.01)
        if self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.device, os.getpid()


def ends(events: Iterator[Event]) -> dict[int, Any]:
    return {number: value for kind, number, value in events if kind in {"done", "lost"}}


def test_workers_take_devices_in_turn() -> None:
    found = ends(run_tasks([Placed(str(number)) for number in range(12)], 3, devices=("cuda:0", "cuda:1")))
    by_process: dict[int, set[str]] = defaultdict(set)
    for device_name, process in found.values():
        by_process[process].add(device_name)
    assert sorted(by_process.values(), key=str) == [{"cuda:0"}, {"cuda:0"}, {"cuda:1"}]
    assert [found[number][0] for number in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]


def test_who_follows_a_lost_worker_takes_its_device(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    tasks = [Placed("a", waits=mark), Placed("b", dies=True), Placed("c", dies=True), Placed("d", makes=mark)]
    events = run_tasks(tasks, 2, devices=("cuda:0", "cuda:1"))
    reports = {number: value for kind, number, value in events if kind == "report"}
    assert reports == {0: "cuda:0", 1: "cuda:1", 2: "cuda:1", 3: "cuda:1"}


def test_without_devices_tasks_keep_their_own() -> None:
    assert ends(run_tasks([Placed("a")], 1))[0][0] == "none"


def machine(patch: pytest.MonkeyPatch, *capabilities: tuple[int, int], cupy: tuple[int, ...] = (12,)) -> None:
    found = tuple(Gpu(index, "Shim", capability, 1 << 33) for index, capability in enumerate(capabilities))
    reason = None if found else "no NVIDIA driver is installed"
    patch.setattr(device, "probe", lambda: Probe((12, 8), found, reason))
    patch.setattr(device, "cuda_devices", lambda: found)
    patch.setattr(device, "cupy_majors", lambda: cupy)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", ("auto:0", "auto:2")),
        ("cuda", ("cuda:0", "cuda:2")),
        ("cuda:2", ("cuda:2",)),
        ("auto:2", ("auto:2",)),
        ("auto:1", ("auto:1",)),  # too old: each worker says so and goes on with the CPU
        ("auto:7", ("auto:7",)),
        ("cpu", ("cpu",)),
        ("reference", ("reference",)),
    ],
)
def test_names_stand_for_the_gpus_that_kernels_run_on(
    monkeypatch: pytest.MonkeyPatch, name: str, expected: tuple[str, ...]
) -> None:
    machine(monkeypatch, (9, 0), (6, 1), (7, 5))
    parsed = parse_device(name)
    assert worker_devices(parsed, usable_gpus(parsed)) == expected


def test_a_named_gpu_is_there_or_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cuda", "cuda:0"):
        machine(monkeypatch)
        with pytest.raises(BackendUnavailable, match="no NVIDIA driver"):
            usable_gpus(parse_device(name))
        machine(monkeypatch, (9, 0), cupy=())
        with pytest.raises(MissingExtra, match="cupy is not installed"):
            usable_gpus(parse_device(name))
        machine(monkeypatch, (6, 1))
        with pytest.raises(BackendUnavailable, match=r"compute capability 6\.1"):
            usable_gpus(parse_device(name))
    assert usable_gpus(AUTO) == ()
    machine(monkeypatch)
    assert usable_gpus(AUTO) == ()


def test_jobs_by_default_suit_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    cuda = parse_device("cuda")
    for name, gpus, decodes, expected in (
        (AUTO, (), False, (64, 1)),
        (AUTO, (0, 1), False, (2 * WORKERS_PER_GPU, 64 // (2 * WORKERS_PER_GPU))),
        (AUTO, (0, 1), True, (64, 1)),
        (cuda, (0, 1), True, (2 * WORKERS_PER_GPU, 64 // (2 * WORKERS_PER_GPU))),
    ):
        assert share_threads(None, None, 1000, most_workers(name, gpus, decodes=decodes)) == expected
    assert share_threads(9, None, 1000, most_workers(AUTO, (0,), decodes=False)) == (9, 7)
    assert share_threads(None, None, 1, most_workers(AUTO, (0,), decodes=False)) == (1, 64)


def test_a_batch_refuses_its_device_before_it_begins(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch)
    target = tmp_path / "out"
    call = ["batch", str(pictures), str(target), "--device"]
    assert main([*call, "cuda"]) == 5
    assert main([*call, "opencl"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "gscodec: error: device cuda: no NVIDIA driver is installed; use --device cpu",
        "gscodec: error: device 'opencl' is not known: use auto, cpu, cuda, cuda:N, gpu or reference",
    ]
    assert not list(target.rglob("*.igs"))
