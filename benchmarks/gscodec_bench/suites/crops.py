"""Details side by side at equal bytes, for people to look at: strips, and one page to flip through."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from gscodec_bench import tables
from gscodec_bench.budget import Files, Search, budget_bytes, can_search, decoded
from gscodec_bench.codecs import PICTURE_RIVALS, Codec, Igs
from gscodec_bench.crops import Crop
from gscodec_bench.judges import ALL_METRICS
from gscodec_bench.measure import quality_figures, rate_figures, safe_name
from gscodec_bench.plan import Notes, Plan, Results, Suite, Task, load_all
from gscodec_bench.report import resource, tile, viewer, write_page
from gscodec_bench.sources import Source
from gscodec_bench.strips import strip
from gscodec_bench.table import Row
from gscodec_bench.windows import Window, make_pictures, windows_of
from gscodec_bench.write import write_text

OURS: Final = ("gscodec:balanced",)
QUICK: Final = ("gscodec:fast",)
RIVALS: Final = ("avif", "jxl", *(name for name in PICTURE_RIVALS if name not in {"avif", "jxl"}))
FIGURES: Final = ("psnr", "ssimulacra2")
FIELDS: Final = (
    "image",
    "category",
    "crop",
    "rate",
    "codec",
    "setting",
    "x",
    "y",
    "crop_width",
    "crop_height",
    "height",
    "width",
    "channels",
    "bytes",
    "bpp",
    "bppc",
    *FIGURES,
)
KEY: Final = ("image", "crop", "rate", "codec")

Samples = npt.NDArray[np.float32]


def tasks(plan: Plan, notes: Notes) -> list[Task]:
    """See `Suite.tasks`. A task is a picture, a codec and a rate, and gives a row for each window."""
    if plan.files is None:
        notes.skip("crops", "there is no folder for the crops: name one with --files")
        return []
    codecs, reasons = plan.pick((*(QUICK if plan.quick else OURS), *RIVALS))
    for name, reason in reasons.items():
        notes.skip(name, reason)
    made = []
    for source, stack in load_all((*plan.sources, *make_pictures(plan.files / "made")), notes):
        by_rate: dict[float, list[Window]] = {}
        for window in windows_of(source, stack.samples):
            for rate in plan.rates or (window.rate,):
                by_rate.setdefault(rate, []).append(window)
        stamps = {"source_sha256": source.sha256()}
        for codec in codecs:
            refusal = codec.refuses(stack) if can_search(codec) else "has no dial between small and large files"
            if refusal:
                notes.skip(f"{source.name} with {codec.name}", refusal)
                continue
            for rate, windows in by_rate.items():
                crops = tuple(window.crop for window in windows)
                keys = tuple(_key(source, crop, rate, codec) for crop in crops)
                work = partial(measure, source, codec, rate, crops, plan.files)
                label = f"{source.name} {codec.name} {rate:g}"
                made.append(Task(label, keys, stamps | {"codec_version": codec.version()}, work))
    return made


def measure(source: Source, codec: Codec, rate: float, crops: Sequence[Crop], files: Path) -> list[dict[str, Any]]:
    """A row for each window; the windows of source and decoded picture are left in the folder `files`."""
    stack = source.load()
    budget = budget_bytes(stack, rate)
    if isinstance(codec, Igs):
        setting = f"{rate:g}"
        found: Files = (codec.encode(stack, setting),)
    else:
        setting, found = Search(codec, stack).largest_within(budget)
    n_bytes = sum(map(len, found))
    row: dict[str, Any] = {"category": source.category, "setting": setting} | rate_figures(stack, n_bytes)
    if n_bytes <= budget:
        samples = decoded(codec, stack, found)
        row |= quality_figures(stack, samples, FIGURES)
        for crop in crops:
            for name, picture in (("source", stack.samples), (codec.name, samples)):
                _save(_path(files, source.name, crop.title, rate, name), crop.of(picture))
    places = [{"x": crop.x, "y": crop.y, "crop_width": crop.width, "crop_height": crop.height} | row for crop in crops]
    return [_key(source, crop, rate, codec) | place for crop, place in zip(crops, places, strict=True)]


def write(results: Results) -> list[Path]:
    """See `Suite.write`."""
    about = (
        "Parts of pictures out of files of no more bytes than the rate allows: each codec at its best quality setting "
        "that keeps within it, gscodec with the rate as its target. Figures are of whole pictures. `crops.html` has "
        "the same pictures to flip through."
    )
    sections, strips, lines = [resource("crops_note.html")], [], []
    for rows in _by_window(results.rows):
        shown = _shown(rows, results)
        if shown is None:
            continue
        title = f"{rows[0]['image']}, {rows[0]['crop']}, {rows[0]['rate']} bpp"
        clean = shown[0].samples
        tiles = [tile(one.name, one.about, one.samples, clean if one.about else None) for one in shown]
        sections.append(viewer(title, tiles))
        path = results.folder / "crops" / f"{safe_name(title.replace(', ', '__'))}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        strip([(one.name, one.samples) for one in shown]).save(path, "WEBP", lossless=True, method=4)
        strips.append(path)
        lines += [f"## {title}", "", f"![{title}]({path.relative_to(results.folder).as_posix()})", ""]
        body = [[row["codec"], row["setting"], row["bytes"], *(row[name] or "-" for name in FIGURES)] for row in rows]
        lines += [*tables.markdown_table(["codec", "setting", "bytes", *(_label(name) for name in FIGURES)], body), ""]
    page = write_page("Details side by side", sections, results.stem(".html"))
    head = tables.front_matter(results, "Details side by side", about)  # last, for it names what was left out here too
    return [write_text(results.stem(".md"), "\n".join([*head, *lines])), page, *strips]


@dataclass(frozen=True)
class _Shown:
    name: str
    about: str  # empty for the source
    samples: Samples


def _by_window(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows of each window and rate, ours first."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["image"], row["crop"], row["rate"]), []).append(row)
    return [sorted(own, key=lambda row: not tables.is_ours(row["codec"])) for own in groups.values()]


def _shown(rows: Sequence[Row], results: Results) -> list[_Shown] | None:
    """The source and what is left of each codec, for rows of one window; None where nothing is left."""
    image, title, rate = rows[0]["image"], rows[0]["crop"], float(rows[0]["rate"])
    assert results.plan.files is not None
    paths = {row["codec"]: _path(results.plan.files, image, title, rate, row["codec"]) for row in rows if row["psnr"]}
    gone = [codec for codec, path in paths.items() if not path.exists()]
    if gone:
        results.notes.skip(f"{image}, {title}", f"its crops are gone from {results.plan.files}: delete its rows")
    if gone or not paths:
        return None
    source = _load(_path(results.plan.files, image, title, rate, "source"))
    found = [_Shown("source", "", source)]
    for row in rows:
        if row["psnr"]:
            figures = (
                f"{float(row['bpp']):.3f} bpp, {float(row['psnr']):.2f} dB, SSIMULACRA2 {row['ssimulacra2'] or '-'}"
            )
            found.append(_Shown(row["codec"], figures, _load(paths[row["codec"]])))
    return found


def _key(source: Source, crop: Crop, rate: float, codec: Codec) -> dict[str, Any]:
    return {"image": source.name, "crop": crop.title, "rate": f"{rate:g}", "codec": codec.name}


def _path(folder: Path, image: str, title: str, rate: float, codec: str) -> Path:
    return folder / f"{safe_name(f'{image}__{title}__{rate:g}__{codec}')}.png"


def _save(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.asarray(np.rint(np.clip(samples, 0, 1) * 255), np.uint8)
    Image.fromarray(np.broadcast_to(levels, (*levels.shape[:2], 3)).copy()).save(path)


def _load(path: Path) -> Samples:
    with Image.open(path) as image:
        return np.asarray(np.asarray(image, np.float32) / 255, np.float32)


def _label(figure: str) -> str:
    return ALL_METRICS[figure].label


SUITE: Final = Suite(
    name="crops",
    summary="details side by side at equal bytes, and a page to flip through",
    fields=FIELDS,
    key=KEY,
    tasks=tasks,
    write=write,
    wants=lambda source: not source.is_stack,
)
