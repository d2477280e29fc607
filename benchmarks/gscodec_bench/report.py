"""One page of HTML that holds everything of a suite: tables, curves, and crops to flip through at equal bytes.

It needs no server and no network: pictures are in it, and its script is a few lines of plain JavaScript.
"""

import base64
import html
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from gscodec.image.stack import ImageStack
from gscodec.metrics import bpp
from gscodec.model.channels import Role, channel_spans
from gscodec_bench.crops import Crop, Samples, choose, data_uri, error_map
from gscodec_bench.matched import Shown, shown_at
from gscodec_bench.plan import Results, load_all
from gscodec_bench.sources import Source
from gscodec_bench.tables import is_ours

MAX_PICTURES: Final = 6
SHOWN_RATE: Final = {"bpp": 0.2, "bppc": 0.1}
"""Rate at which pictures and stacks are shown, where one of our files has it."""
SHOWN_ROLES: Final = {Role.COLOR, Role.ALBEDO, Role.NORMAL}
"""Maps of a stack that are shown."""


def write_report(results: Results, markdown: str, plots: Sequence[Path], path: Path, rate_column: str) -> Path:
    """The page of a rate-distortion suite.

    Args:
        markdown: the suite's tables.
        plots: SVG files to put in.
        rate_column: of the rows, `bpp` or `bppc`.
    """
    sections = [to_html(markdown), "<h2>Curves</h2>"]
    sections += [f'<p><img class="plot" alt="{html.escape(plot.stem)}" src="{_svg_uri(plot)}"></p>' for plot in plots]
    viewers = [viewer for source, stack in _picked(results) for viewer in _viewers(results, source, stack, rate_column)]
    if viewers:
        sections += ["<h2>Side by side at equal bytes</h2>", resource("viewer_note.html"), *viewers]
    return write_page(markdown.splitlines()[0].lstrip("# "), sections, path)


def write_page(title: str, sections: Iterable[str], path: Path) -> Path:
    """A page of sections of HTML, with the style and the script that viewers need in it."""
    parts = {
        "title": html.escape(title),
        "style": resource("page.css"),
        "body": "\n".join(sections),
        "script": resource("viewer.js"),
    }
    # in one pass, so that no part fills a place that another brings
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], resource("page.html"))
    path.write_text(page, encoding="utf-8")
    return path


def viewer(title: str, tiles: Iterable[str]) -> str:
    """HTML of pictures to flip through, each a `tile`, the source first."""
    return f'<section class="viewer"><h3>{html.escape(title)}</h3><div class="tiles">{"".join(tiles)}</div></section>'


def tile(name: str, about: str, samples: Samples, source: Samples | None) -> str:
    """HTML of one picture (H, W, 1 or 3) with its caption, and with the map of its error if there is a source."""
    error = "" if source is None else f' data-error="{data_uri(error_map(source, samples))}"'
    return (
        f'<figure><img alt="{html.escape(name)}" src="{data_uri(samples)}"{error}>'
        f"<figcaption><b>{html.escape(name)}</b><br>{html.escape(about)}</figcaption></figure>"
    )


def _picked(results: Results) -> list[tuple[Source, ImageStack]]:
    """Pictures to show: the first of each category, then the second, and so on."""
    measured = {row["image"] for row in results.rows}
    by_category: dict[str, list[Source]] = {}
    for source in results.plan.sources:
        if source.name in measured:
            by_category.setdefault(source.category, []).append(source)
    ranked = sorted(
        ((rank, source) for sources in by_category.values() for rank, source in enumerate(sources)),
        key=lambda pair: pair[0],
    )
    return list(load_all([source for _, source in ranked[:MAX_PICTURES]], results.notes))


def _viewers(results: Results, source: Source, stack: ImageStack, rate_column: str) -> Iterable[str]:
    rows = [row for row in results.rows if row["image"] == source.name]
    ours = [row for row in rows if is_ours(row["codec"])]
    if not ours:
        return
    wanted = min(ours, key=lambda row: abs(float(row[rate_column]) - SHOWN_RATE[rate_column]))
    shown = shown_at(source, stack, rows, results.plan, int(wanted["bytes"]))
    if not any(is_ours(one.codec) for one in shown):
        return  # without our file there is nothing to hold the others to
    for crop in choose(stack.samples):
        for group, channels in channel_spans(stack.groups):
            if group.role in SHOWN_ROLES:
                name = f"{source.name}, {group.name}" if len(stack.groups) > 1 else source.name
                yield _viewer(name, stack, channels, crop, shown, rate_column)


def _viewer(name: str, stack: ImageStack, channels: slice, crop: Crop, shown: Sequence[Shown], rate_column: str) -> str:
    height, width, n_channels = stack.samples.shape
    clean = crop.of(stack.samples)[:, :, channels]
    tiles = [tile("source", f"{width}x{height} px", clean, None)]
    for one in shown:
        rate = bpp(one.n_bytes, height, width) / (n_channels if rate_column == "bppc" else 1)
        about = f"{rate:.3f} {rate_column}, {one.psnr:.2f} dB"
        tiles.append(tile(f"{one.codec} {one.setting}", about, crop.of(one.samples)[:, :, channels], clean))
    where = f"{crop.title}, {crop.width}x{crop.height} px at {crop.x},{crop.y}"
    return viewer(f"{name}: {where}", tiles)


def to_html(markdown: str) -> str:
    """HTML of the Markdown that suites write: headings, paragraphs, tables, lists and indented code."""
    blocks = re.split(r"\n\s*\n", markdown.strip("\n"))
    return "\n".join(_block(block.split("\n")) for block in blocks)


def _block(lines: Sequence[str]) -> str:
    first = lines[0]
    if first.startswith("#"):
        level = len(first) - len(first.lstrip("#"))
        return f"<h{level}>{_inline(first[level:].strip())}</h{level}>"
    if first.startswith("    "):
        return "<pre>" + html.escape("\n".join(line[4:] for line in lines)) + "</pre>"
    if first.startswith("|"):
        head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        top = "".join(f"<th>{_inline(cell)}</th>" for cell in head)
        rest = "".join("<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in body)
        return f"<table><tr>{top}</tr>{rest}</table>"
    if first.startswith("- "):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    return "<p>" + _inline(" ".join(lines)) + "</p>"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _svg_uri(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def resource(name: str) -> str:
    """Text of a file of the folder `page`."""
    return (files("gscodec_bench") / "page" / name).read_text(encoding="utf-8")
