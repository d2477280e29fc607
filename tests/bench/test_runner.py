import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gscodec_bench.plan import Task
from gscodec_bench.runner import Event, run
from gscodec_bench.table import ResultTable

FIELDS = ("name", "value", "pid", "source_sha256", "codec_version", "machine")
STAMPS = {"source_sha256": "s", "codec_version": "v"}


def work(name: str) -> list[dict[str, Any]]:
    if name == "stopped":
        raise KeyboardInterrupt
    if name == "broken":
        raise RuntimeError("two\nlines")
    if name == "silent":
        raise MemoryError
    return [{"name": name, "value": 2.5, "pid": os.getpid()}]


def tasks(*names: str) -> list[Task]:
    return [Task(name, ({"name": name},), STAMPS, partial(work, name)) for name in names]


@pytest.fixture
def table(tmp_path: Path) -> ResultTable:
    return ResultTable(tmp_path / "t.csv", FIELDS, ("name",))


def test_a_second_run_measures_only_what_is_missing(table: ResultTable) -> None:
    first = run(tasks("a", "b"), table)
    assert (first.measured, first.known) == (2, 0)
    events: list[Event] = []
    second = run(tasks("a", "b", "c"), table, on_event=events.append)
    assert (second.measured, second.known) == (1, 2)
    assert [(event.done, event.total, event.label) for event in events] == [(1, 1, "c")]
    assert [row["name"] for row in table.rows] == ["a", "b", "c"]
    assert all(row["machine"] and row["codec_version"] == "v" for row in table.rows)


def test_a_failure_is_noted_and_the_run_goes_on(table: ResultTable) -> None:
    outcome = run(tasks("broken", "a", "silent"), table)
    assert outcome.measured == 1
    assert outcome.failures == [("broken", "RuntimeError: two lines"), ("silent", "MemoryError")]
    assert [row["name"] for row in table.rows] == ["a"]


def test_an_interrupt_loses_only_the_task_under_way(table: ResultTable) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tasks("a", "stopped", "b"), table)
    assert [row["name"] for row in ResultTable(table.path, FIELDS, ("name",)).rows] == ["a"]


def test_several_at_once_are_other_processes(table: ResultTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # a worker finds `work` by this module's name
    outcome = run(tasks("a", "b", "broken", "d", "e"), table, jobs=2)
    assert (outcome.measured, outcome.failures) == (4, [("broken", "RuntimeError: two lines")])
    assert os.getpid() not in {int(row["pid"]) for row in table.rows}
