"""Rate-distortion of pictures (paper, Figures 3 and 5): gscodec beside the codecs that store pictures on disk."""

from pathlib import Path
from typing import Final

from gscodec_bench.codecs import PICTURE_RIVALS
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task
from gscodec_bench.suites.compare import FIELDS, KEY, compare_tasks
from gscodec_bench.write import write_comparison

OURS: Final = ("gscodec:paper", "gscodec:fast", "gscodec:balanced", "gscodec:best", "gscodec:balanced:lods1")
QUICK: Final = ("gscodec:paper", "gscodec:fast", "gscodec:balanced")
RATES: Final = (0.1, 0.2, 0.3, 0.5, 0.8)
QUICK_RATES: Final = (0.1, 0.2, 0.5)


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`."""
    names = (*(QUICK if plan.quick else OURS), *PICTURE_RIVALS)
    return compare_tasks(plan, notes, names, QUICK_RATES if plan.quick else RATES)


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "Quality of what comes out of the file, at its own bit depth, over bytes on disk. "
        "JPEG, WebP, AVIF and JPEG XL run over a grid of their quality settings and are interpolated between."
    )
    return write_comparison(results, "Rate and distortion: pictures", about, "bpp", (0.1, 0.2, 0.5))


SUITE: Final = Suite(
    name="rd",
    summary="pictures: quality over rate beside JPEG, WebP, AVIF and JPEG XL",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    wants=lambda source: not source.is_stack,
)
