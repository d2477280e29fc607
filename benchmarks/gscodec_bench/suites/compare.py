"""What rate-distortion suites share: a row for every source, codec and setting that fit together."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from gscodec.metrics import METRICS
from gscodec_bench.codecs import Codec
from gscodec_bench.measure import code, file_name, igs_figures, keep_files, quality_figures, rate_figures, time_figures
from gscodec_bench.plan import Notes, Plan, Task, load_all
from gscodec_bench.sources import Source

FIELDS: Final = (
    "image",
    "category",
    "codec",
    "setting",
    "height",
    "width",
    "channels",
    "bytes",
    "bpp",
    "bppc",
    "psnr",
    "ssim",
    "ms_ssim",
    "flip",
    "lpips",
    "ssimulacra2",
    "normal_deg",
    "log_psnr",
    "hdr_flip",
    "group_psnr",
    "encode_s",
    "encode_cpu_s",
    "decode_ms",
    "profile",
    "gaussians",
    "lods",
    "bits_per_gaussian",
)
KEY: Final = ("image", "codec", "setting")


def compare_tasks(plan: Plan, notes: Notes, names: Sequence[str], rates: Sequence[float]) -> list[Task]:
    """A task for every source, codec and setting; what does not fit together is noted."""
    codecs, reasons = plan.pick(names)
    for name, reason in reasons.items():
        notes.skip(name, reason)
    tasks = []
    for source, stack in load_all(plan.sources, notes):
        sha256 = source.sha256()
        for codec in codecs:
            refusal = codec.refuses(stack)
            if refusal:
                notes.skip(f"{source.name} with {codec.name}", refusal)
                continue
            for setting in codec.settings(plan.rates or rates):
                metrics, runs = plan.metrics or tuple(METRICS), 1 if plan.quick else 3
                work = partial(measure, source, codec, setting, metrics, runs, plan.files)
                stamps = {"source_sha256": sha256, "codec_version": codec.version()}
                label = f"{source.name} {codec.name} {setting}"
                tasks.append(Task(label, (key_of(source, codec, setting),), stamps, work))
    return tasks


def measure(
    source: Source, codec: Codec, setting: str, metrics: Sequence[str], decode_runs: int, files: Path | None
) -> list[dict[str, Any]]:
    """The row of one source, codec and setting; its files are left in the folder `files`, if there is one."""
    stack = source.load()
    coded = code(stack, codec, setting, decode_runs)
    if files is not None:
        keep_files(files, file_name(source.name, codec.name, setting), codec, coded.files)
    return [
        key_of(source, codec, setting)
        | rate_figures(stack, coded.n_bytes)
        | quality_figures(stack, coded.samples, metrics)
        | time_figures(coded)
        | igs_figures(codec, coded.files)
    ]


def key_of(source: Source, codec: Codec, setting: str) -> dict[str, Any]:
    """Columns that say what was measured."""
    return {"image": source.name, "category": source.category, "codec": codec.name, "setting": setting}
