import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from quick_batch import QUICK, Painter

from gscodec.batch.keys import changed
from gscodec.batch.map_figures import Figures, checked_figures
from gscodec.batch.outcome import Outcome, Status
from gscodec.batch.plan import Item, Manifest, make_items
from gscodec.batch.pool import Event, LostWorkerError, Task, run_tasks
from gscodec.batch.report import write_report
from gscodec.batch.run import EncodeTask, encode_all, share_threads
from gscodec.batch.state import State
from gscodec.batch.work import Options, encode_item, read_key
from gscodec.encoding.settings import EncodeSettings
from gscodec.errors import InvalidArgument
from gscodec.io import atomic

SETTINGS = changed(EncodeSettings(), QUICK, "test")
OPTIONS = Options(threads=1, device="cpu")


def here(tasks: Sequence[Task]) -> Iterator[Event]:
    """Tasks in this process, which is what most tests need."""
    for number, task in enumerate(tasks):
        yield "begin", number, None
        yield "done", number, task.run(lambda _: None)


def plan(tree: Path, target: Path) -> list[Item]:
    return make_items(Manifest(target, tree), SETTINGS)


def run(items: list[Item], root: Path, **options: Any) -> dict[str, Outcome]:
    outcomes = encode_all(items, options.pop("how", OPTIONS), here, State(root), **options)
    return {outcome.name: outcome for outcome in outcomes}


def statuses(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcome.status.value for name, outcome in outcomes.items()}


def test_a_second_run_does_nothing(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "dst"
    first = run(plan(tree, target), target)
    assert set(statuses(first).values()) == {"encoded"}
    assert all(read_key(Path(outcome.output)) == outcome.key for outcome in first.values())
    monkeypatch.setattr("gscodec.batch.run.encode_item", lambda *_: pytest.fail("looked at a file"))
    second = run(plan(tree, target), target)
    assert set(statuses(second).values()) == {"current"}
    assert [outcome.psnr for outcome in second.values()] == [outcome.psnr for outcome in first.values()]


def test_only_what_has_changed_is_encoded(tree: Path, tmp_path: Path, paint: Painter) -> None:
    target = tmp_path / "dst"
    run(plan(tree, target), target)
    os.utime(tree / "x.png", ns=(1, 1))  # touched
    paint(tree / "a" / "y.png", 99)  # painted over
    (tree / "a" / "z.png").rename(tree / "a" / "new.png")  # renamed
    items = plan(tree, target)
    outcomes = run(items, target)
    assert statuses(outcomes) == {"a/new": "encoded", "a/y": "encoded", "rock": "current", "x": "current"}
    finer = [replace(item, settings=item.settings.changed({"steps": 6}, "")) for item in items if item.name == "x"]
    assert statuses(run(finer, target)) == {"x": "encoded"}


def test_a_lost_state_costs_a_look(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "dst"
    run(plan(tree, target), target)
    (target / ".gscodec-batch.jsonl").write_bytes(b"{broken")
    assert set(statuses(run(plan(tree, target), target)).values()) == {"current"}


def test_a_damaged_output_is_made_again(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "dst"
    run(plan(tree, target), target)
    (target / "x.igs").write_bytes((target / "x.igs").read_bytes()[:-5])
    items = plan(tree, target)
    assert statuses(run(items, target)) == {"a/y": "current", "a/z": "current", "rock": "current", "x": "encoded"}
    assert set(statuses(run(items, target)).values()) == {"current"}


def test_files_of_others_are_left_alone(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "dst"
    target.mkdir()
    (target / "x.igs").write_bytes(b"mine")
    outcomes = run(plan(tree, target), target)
    assert outcomes["x"].status is Status.FAILED
    assert "was not written by a batch; use --overwrite" in outcomes["x"].message
    assert (target / "x.igs").read_bytes() == b"mine"
    assert outcomes["a/y"].status is Status.ENCODED


def test_one_bad_item_stops_no_other(tree: Path, tmp_path: Path) -> None:
    (tree / "a" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    target = tmp_path / "dst"
    outcomes = run(plan(tree, target), target)
    assert statuses(outcomes) == {
        "a/bad": "failed",
        "a/y": "encoded",
        "a/z": "encoded",
        "rock": "encoded",
        "x": "encoded",
    }
    assert "PNG" in outcomes["a/bad"].message
    left = statuses(run(plan(tree, tmp_path / "d2"), tmp_path / "d2", fail_fast=True))
    assert left == {"a/bad": "failed", "a/y": "waiting", "a/z": "waiting", "rock": "waiting", "x": "waiting"}


def test_a_cache_serves_another_tree(tree: Path, tmp_path: Path) -> None:
    how = replace(OPTIONS, cache=tmp_path / "cache")
    run(plan(tree, tmp_path / "d1"), tmp_path / "d1", how=how)
    outcomes = run(plan(tree, tmp_path / "d2"), tmp_path / "d2", how=how)
    assert set(statuses(outcomes).values()) == {"copied"}
    assert (tmp_path / "d1" / "x.igs").read_bytes() == (tmp_path / "d2" / "x.igs").read_bytes()
    cached = next((tmp_path / "cache").rglob("*.igs"))
    cached.write_bytes(cached.read_bytes()[:100])
    again = run(plan(tree, tmp_path / "d3"), tmp_path / "d3", how=how)
    assert sorted(statuses(again).values()) == ["copied", "copied", "copied", "encoded"]


def test_resume_trusts_what_is_finished(tree: Path, tmp_path: Path, paint: Painter) -> None:
    target = tmp_path / "dst"
    run(plan(tree, target), target)
    paint(tree / "x.png", 50)
    (target / "rock.igs").unlink()
    outcomes = run(plan(tree, target), target, trust=True)
    assert statuses(outcomes) == {"a/y": "current", "a/z": "current", "rock": "encoded", "x": "current"}


def test_leftovers_of_a_killed_run_are_removed(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "dst"
    target.mkdir()
    boot, host = atomic._machine()
    (target / f".x.igs.{boot}{host}{'0' * 16}.tmp").write_bytes(b"half")
    with atomic.atomic_path(target / "y.igs", overwrite=False) as live:
        run(plan(tree, target), target)
        live.write_bytes(b"")
    assert sorted(path.name for path in target.iterdir()) == [".gscodec-batch.jsonl", "a", "rock.igs", "x.igs", "y.igs"]


@dataclass(frozen=True)
class Echo:
    """Sends its name back, or does itself in."""

    name: str
    end: int | None = None

    def on(self, device: str) -> Self:
        return replace(self, name=f"{self.name} on {device}")

    def run(self, report: Callable[[Any], None]) -> str:
        report(self.name.upper())
        if self.end is not None:
            os.kill(os.getpid(), self.end)
        return self.name


def test_a_worker_that_dies_costs_its_own_task_only() -> None:
    tasks = [Echo("a"), Echo("b", signal.SIGKILL), Echo("c"), Echo("d")]
    events = list(run_tasks(tasks, jobs=1))
    assert [(kind, number) for kind, number, _ in events if kind in {"done", "lost"}] == [
        ("done", 0),
        ("lost", 1),
        ("done", 2),
        ("done", 3),
    ]
    (lost,) = [value for kind, _, value in events if kind == "lost"]
    assert isinstance(lost, LostWorkerError)
    assert str(lost) == "b: its worker was killed by SIGKILL (most likely out of memory)"
    assert [value for kind, _, value in events if kind == "report"] == ["A", "B", "C", "D"]


def test_workers_make_the_same_files(tree: Path, tmp_path: Path) -> None:
    items, twins = plan(tree, tmp_path / "one"), plan(tree, tmp_path / "two")
    for item in items:
        assert encode_item(item, OPTIONS).status is Status.ENCODED
    seen: list[str] = []
    outcomes = encode_all(
        twins,
        OPTIONS,
        lambda tasks: run_tasks(tasks, 2),
        State(tmp_path / "two"),
        watch=lambda kind, name, _: seen.append(f"{kind} {name}"),
    )
    assert {outcome.status for outcome in outcomes} == {Status.ENCODED}
    assert {f"begin {item.name}" for item in twins} | {f"end {item.name}" for item in twins} <= set(seen)
    for item, twin in zip(items, twins, strict=True):
        assert item.output.read_bytes() == twin.output.read_bytes()


def test_unexpected_faults_stay_with_their_item(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Outcome:
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr("gscodec.batch.run.encode_item", fail)
    outcome = EncodeTask(plan(tree, tmp_path)[0], OPTIONS).run(lambda _: None)
    assert outcome.status is Status.FAILED
    assert outcome.message == "a/y: LinAlgError: singular (a bug in gscodec)"


def test_cores_are_shared() -> None:
    cores = len(os.sched_getaffinity(0))
    assert share_threads(None, None, 1) == (1, cores)
    assert share_threads(None, None, 10**6) == (cores, 1)
    assert share_threads(3, 2, 9) == (3, 2)


def test_figures_of_an_exact_map_and_of_older_notes(tmp_path: Path) -> None:
    figures: Figures = {"mask": {"psnr": None}, "=1+1": {"psnr": 31.5, "angle_deg": 0.25}}
    assert checked_figures(json.loads(json.dumps(figures))) == figures
    for older in (
        None,
        {"mask": "31.50 dB"},
        {"mask": {}, "x": {"psnr": "1"}},
        {"x": {"psnr": 1.0, "angle_deg": None}},
    ):
        assert checked_figures(older) is None
    for suffix in (".json", ".csv"):
        write_report(tmp_path / f"r{suffix}", [Outcome("c", Status.ENCODED, "y", map_figures=figures)], 1.5)
    (outcome,) = json.loads((tmp_path / "r.json").read_text())["outcomes"]
    assert outcome["map_figures"] == figures
    assert "mask: exact, =1+1: 31.50 dB, 0.25 deg" in (tmp_path / "r.csv").read_text()


@pytest.mark.parametrize("suffix", [".json", ".csv", ".html"])
def test_reports(suffix: str, tmp_path: Path) -> None:
    outcomes = [Outcome("a<b", Status.FAILED, "x", "no, no"), Outcome("c", Status.ENCODED, "y", n_bytes=1234)]
    write_report(tmp_path / f"r{suffix}", outcomes, 1.5)
    text = (tmp_path / f"r{suffix}").read_text()
    assert "1234" in text
    assert ("a&lt;b" if suffix == ".html" else "a<b") in text
    with pytest.raises(InvalidArgument, match="suffix of a report"):
        write_report(tmp_path / "r.txt", outcomes, 1.0)


def test_what_a_source_warns_of_is_in_its_outcome(tmp_path: Path, paint: Painter) -> None:
    paint(tmp_path / "s" / "heavy_metal.png")
    paint(tmp_path / "s" / "x.png")
    outcomes = run(plan(tmp_path / "s", tmp_path / "d"), tmp_path / "d")
    assert statuses(outcomes) == {"heavy_metal": "encoded", "x": "encoded"}
    assert "heavy_metal.png: is called 'metal', but is not gray: taken as colour" in outcomes["heavy_metal"].message
    assert outcomes["x"].message == ""
