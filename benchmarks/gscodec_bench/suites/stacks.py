"""Rate-distortion of texture stacks (paper, Figure 6): one `.igs` beside a file a map, and beside GPU formats.

GPU formats cost the same whatever a texture holds, so scalar maps share one, three at a time, as engines pack them.
"""

from pathlib import Path
from typing import Final

from gscodec_bench.codecs import PICTURE_RIVALS, TEXTURE_RIVALS
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task
from gscodec_bench.stack_tables import stack_sections
from gscodec_bench.suites.compare import FIELDS, KEY, compare_tasks
from gscodec_bench.write import write_comparison

OURS: Final = ("gscodec:paper", "gscodec:fast", "gscodec:fast:maps", "gscodec:balanced")
QUICK: Final = ("gscodec:fast", "gscodec:balanced")
RATES: Final = (0.02, 0.05, 0.1, 0.2)
QUICK_RATES: Final = (0.05, 0.1, 0.2)


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`."""
    names = (*(QUICK if plan.quick else OURS), *TEXTURE_RIVALS, *PICTURE_RIVALS)
    return compare_tasks(plan, notes, names, QUICK_RATES if plan.quick else RATES)


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "PSNR over all channels together, and the angle by which normals are off, over bits per pixel and channel of "
        "all files together. BC1, BC7 and ASTC reach low rates by storing a smaller mip, brought back bilinearly; "
        "scalar maps share a texture, three at a time. JPEG, WebP, AVIF and JPEG XL store a file a map, and so do "
        "those of our codecs whose names end in `:maps`."
    )
    return write_comparison(results, "Rate and distortion: texture stacks", about, "bppc", RATES, stack_sections)


SUITE: Final = Suite(
    name="stacks",
    summary="texture stacks: beside BC1, BC7, ASTC, Basis Universal and a file a map",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    wants=lambda source: source.is_stack,
)
