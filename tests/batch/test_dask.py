"""The cluster engine on a real scheduler with workers in processes of their own."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dask
import distributed
import pytest
from quick_batch import QUICK

from gscodec.batch.dask_pool import run_tasks_on_dask
from gscodec.batch.keys import changed
from gscodec.batch.outcome import Status
from gscodec.batch.plan import Manifest, make_items
from gscodec.batch.pool import LostWorkerError
from gscodec.batch.run import encode_all
from gscodec.batch.state import State
from gscodec.batch.work import Options, encode_item
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import BackendUnavailable

OPTIONS = Options(threads=1, device="cpu")

pytestmark = pytest.mark.filterwarnings("ignore")  # of the cluster's own shutdown


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    engine: Any = distributed
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        engine.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as running,
    ):
        yield running


@dataclass(frozen=True)
class Deadly:
    """Kills the worker that runs it, once or always."""

    name: str
    mark: Path | None

    def on(self, device: str) -> Self:
        raise AssertionError(f"a cluster's workers have GPUs of their own, not {device}")

    def run(self, report: Callable[[Any], None]) -> str:
        report(None)
        if self.mark is None or not self.mark.exists():
            if self.mark is not None:
                self.mark.touch()
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGKILL)
        return self.name


def test_the_cluster_gives_the_same_files(cluster: Any, tree: Path, tmp_path: Path) -> None:
    settings = changed(EncodeSettings(), QUICK, "test")
    items, twins = (make_items(Manifest(tmp_path / name, tree), settings) for name in ("one", "two"))
    for item in items:
        assert encode_item(item, OPTIONS).status is Status.ENCODED
    address = cluster.scheduler_address
    outcomes = encode_all(
        twins, OPTIONS, lambda tasks: run_tasks_on_dask(tasks, address, use_gpus=False), State(tmp_path / "two")
    )
    assert {outcome.status for outcome in outcomes} == {Status.ENCODED}
    for item, twin in zip(items, twins, strict=True):
        assert item.output.read_bytes() == twin.output.read_bytes()


def test_lost_workers_cost_their_items_only(cluster: Any, tmp_path: Path) -> None:
    tasks = [Deadly("once", tmp_path / "mark"), Deadly("always", None)]
    events = list(run_tasks_on_dask(tasks, cluster.scheduler_address, use_gpus=False))
    ends = {number: (kind, value) for kind, number, value in events if kind in {"done", "lost"}}
    assert ends[0] == ("done", "once")
    assert ends[1][0] == "lost"
    assert isinstance(ends[1][1], LostWorkerError)
    assert "always: its worker was lost" in str(ends[1][1])


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gscodec.batch.dask_pool.CONNECT_SECONDS", 1)
    with pytest.raises(BackendUnavailable, match="no Dask scheduler answers at this address"):
        list(run_tasks_on_dask([], "tcp://127.0.0.1:9", use_gpus=False))
