"""The regression guard: a few fits short enough to run before every change lands (`make bench-check`).

Its rows are compared with committed ones by `python -m gscodec_bench --against`. JPEG is among them as a canary: should
its row move, a library moved, and not gscodec.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

from gscodec_bench import tables
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task
from gscodec_bench.suites.compare import FIELDS, KEY, compare_tasks
from gscodec_bench.write import write_text

CODECS: Final = ("gscodec:fast", "gscodec:paper:steps300", "jpeg")
STACK_CODECS: Final = CODECS[:1]
RATE: Final = 0.2
JPEG_QUALITY: Final = "35"


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`."""
    found = []
    for codecs, is_stack in ((CODECS, False), (STACK_CODECS, True)):
        own = replace(plan, sources=tuple(source for source in plan.sources if source.is_stack is is_stack))
        found += compare_tasks(own, notes, codecs, (RATE,))
    keys = ((task, task.keys[0]) for task in found)
    return [task for task, key in keys if key["codec"] != "jpeg" or key["setting"] == JPEG_QUALITY]


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = "What `make bench-check` holds new measurements to: at most 0.1 dB and 1 % of the bytes may be lost."
    columns = ("image", "codec", "setting", "bytes", "psnr", "ms_ssim", "encode_s", "decode_ms")
    body = [[row[name] for name in columns] for row in results.rows]
    lines = [*tables.front_matter(results, "Regression guard", about), *tables.markdown_table(columns, body), ""]
    return [write_text(results.stem(".md"), "\n".join(lines))]


SUITE: Final = Suite(
    name="check",
    summary="a few short fits, to be held to committed rows with --against",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
)
