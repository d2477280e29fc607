"""One suite from a plan to its files: measure what is missing, then write tables and plots from all rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gscodec_bench import PROGRAM, plots
from gscodec_bench.plan import Notes, Plan, Results, Suite
from gscodec_bench.runner import Event, Outcome, run
from gscodec_bench.table import ResultTable


@dataclass(frozen=True)
class Done:
    """What a suite did and wrote."""

    results: Results
    outcome: Outcome
    written: list[Path]


def run_suite(
    suite: Suite,
    plan: Plan,
    folder: Path,
    *,
    jobs: int = 1,
    any_version: bool = False,
    command: str = PROGRAM,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Done:
    """Measure a suite and write its files.

    Rows of earlier runs in the same folder count: the tables are made of all of them, but for pictures that are not
    among the plan's sources any more.

    Args:
        folder: of the CSV table `<suite>.csv` and of everything made from it.
        jobs: processes; see `runner.run`.
        command: what a table says it was made with.
        on_event: called as each task ends.

    Raises:
        InvalidArgument: a table with other columns is in the way.
    """
    own = replace(plan, sources=tuple(source for source in plan.sources if suite.wants(source)))
    notes = Notes()
    notes.skip_all(plan.skipped)
    if reason := plots.missing():
        notes.skip("plots", reason)
    table = ResultTable(folder / f"{suite.name}.csv", suite.columns, suite.key)
    tasks = suite.tasks(own, notes)
    outcome = run(tasks, table, jobs=1 if suite.one_at_a_time else jobs, any_version=any_version, on_event=on_event)
    for label, fault in outcome.failures:
        notes.skip(label, fault)
    results = Results(suite, own, folder, table.rows, notes, command)
    written = [table.path, *suite.write(results)] if table.rows else []
    return Done(results, outcome, written)
