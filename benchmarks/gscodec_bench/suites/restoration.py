"""Joint compression and restoration (paper, Section 5.2): encode a damaged picture, measure against the clean one.

Gaussians cannot follow noise and block edges at a low rate, so a file can be nearer to the clean original than what it
was made from. The gain is how much nearer; it is negative where the rate costs more than the damage.
"""

import io
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from gscodec.image.levels import to_unit
from gscodec.image.stack import ImageStack
from gscodec.metrics import psnr
from gscodec_bench import tables
from gscodec_bench.codecs import Codec
from gscodec_bench.codecs.base import rgb_of
from gscodec_bench.measure import code, quality_figures, rate_figures
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task, load_all
from gscodec_bench.sources import Source
from gscodec_bench.write import write_text

DAMAGE: Final = ("jpeg10", "jpeg20", "jpeg40", "noise10", "noise25", "noise50")
"""JPEG of a quality, 4:2:0; or white Gaussian noise of a standard deviation, in levels of 255, clipped to 0..255."""
QUICK_DAMAGE: Final = ("jpeg10", "noise25")
OURS: Final = ("gscodec:balanced:lods1", "gscodec:paper")
QUICK: Final = ("gscodec:fast:lods1",)
RATES: Final = (0.2, 0.5, 1.0)
QUICK_RATES: Final = (0.3,)
FIELDS: Final = (
    "image",
    "category",
    "damage",
    "codec",
    "setting",
    "height",
    "width",
    "channels",
    "bytes",
    "bpp",
    "bppc",
    "damaged_psnr",
    "psnr",
    "ssim",
    "ms_ssim",
    "gain_db",
)
KEY: Final = ("image", "damage", "codec", "setting")


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`."""
    codecs, reasons = plan.pick(QUICK if plan.quick else OURS)
    for name, reason in reasons.items():
        notes.skip(name, reason)
    made = []
    for source, stack in load_all(plan.sources, notes):
        if stack.samples.shape[2] != 3 or stack.groups[0].bit_depth != 8:
            notes.skip(source.name, "damage is defined for 8-bit RGB")
            continue
        stamps = {"source_sha256": source.sha256()}
        for codec in codecs:
            stamps["codec_version"] = codec.version()
            rates = plan.rates or (QUICK_RATES if plan.quick else RATES)
            for setting in codec.settings(rates):
                for damage in QUICK_DAMAGE if plan.quick else DAMAGE:
                    key = {"image": source.name, "damage": damage, "codec": codec.name, "setting": setting}
                    label = " ".join(key.values())
                    made.append(Task(label, (key,), dict(stamps), partial(measure, source, damage, codec, setting)))
    return made


def measure(source: Source, damage: str, codec: Codec, setting: str) -> list[dict[str, Any]]:
    """The row of one picture, damage, codec and setting."""
    clean = source.load()
    damaged = damage_picture(clean, damage, seed=zlib.crc32(source.name.encode()))
    coded = code(damaged, codec, setting, decode_runs=0)
    before = psnr(clean.samples, damaged.samples)
    figures = quality_figures(clean, coded.samples, ("psnr", "ssim", "ms_ssim"))
    return [
        {"image": source.name, "category": source.category}
        | {"damage": damage, "codec": codec.name, "setting": setting}
        | rate_figures(clean, coded.n_bytes)
        | {"damaged_psnr": f"{before:.3f}"}
        | figures
        | {"gain_db": f"{float(figures['psnr']) - before:.3f}"}
    ]


def damage_picture(clean: ImageStack, damage: str, seed: int) -> ImageStack:
    """The picture after JPEG (`jpegQ`) or with noise (`noiseS`), at 8 bits again; the same for the same seed."""
    kind, amount = damage.rstrip("0123456789"), int(damage.lstrip("abcdefghijklmnopqrstuvwxyz"))
    levels = rgb_of(clean)
    spoiled: npt.NDArray[np.uint8]
    if kind == "jpeg":
        file = io.BytesIO()
        Image.fromarray(levels).save(file, "JPEG", quality=amount, subsampling="4:2:0")
        with Image.open(file) as image:
            spoiled = np.asarray(image)
    else:
        noise = np.random.default_rng(seed).normal(0.0, amount, levels.shape)
        spoiled = np.asarray(np.rint(np.clip(levels + noise, 0, 255)), np.uint8)
    return replace(clean, samples=to_unit(spoiled, clean.groups))


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "Pictures damaged by JPEG of a quality, or by noise of a standard deviation in levels of 255, then encoded. "
        "All figures are against the clean picture; the gain is over the damaged one, negative where encoding costs "
        "more."
    )
    lines = tables.front_matter(results, "Compression and restoration together", about)
    categories = tables.categories_of(results.rows)
    by_key: dict[tuple[str, ...], float] = {}
    for row in results.rows:
        by_key[row["damage"], row["codec"], row["setting"], row["image"]] = float(row["gain_db"])
    variants = dict.fromkeys((row["damage"], row["codec"], row["setting"]) for row in results.rows)
    body = [
        [
            *variant,
            *(
                tables.mean_cell((by_key.get((*variant, image)) for image in images), signed=True)
                for images in categories.values()
            ),
        ]
        for variant in variants
    ]
    lines += ["Gain in dB:", "", *tables.markdown_table(["damage", "codec", "rate", *categories], body), ""]
    return [write_text(results.stem(".md"), "\n".join(lines))]


SUITE: Final = Suite(
    name="restoration",
    summary="damaged pictures: gain against the clean original",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    wants=lambda source: not source.is_stack,
)
