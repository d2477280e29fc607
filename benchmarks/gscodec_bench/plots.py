"""Plots from rows: SVG and PNG, the same bytes for the same rows.

matplotlib is used through its objects, without pyplot, so that no window system and no global state come in.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from gscodec_bench.curves import curves_of, mean_curve
from gscodec_bench.judges import ALL_METRICS
from gscodec_bench.table import Row
from gscodec_bench.tables import ALL, categories_of, codecs_of, is_ours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")

_COLOURS: Final = {
    "jpeg": "#7f7f7f",
    "webp": "#bcbd22",
    "avif": "#9467bd",
    "jxl": "#2ca02c",
    "astc": "#17becf",
    "bc1": "#8c564b",
    "bc7": "#e377c2",
    "basis": "#ff9896",
}
_OURS: Final = ("#d62728", "#1f77b4", "#ff7f0e", "#000000", "#f7b6d2", "#aec7e8")
_MARKERS: Final = "osD^vP"
PANEL_INCHES: Final = (4.2, 3.4)
MIN_WIDTH_INCHES: Final = 7.5
"""Room for a legend of four entries a row."""


def missing() -> str | None:
    """Why nothing can be plotted here, or None."""
    return None if find_spec("matplotlib") else "matplotlib is not installed: pip install --group bench"


def if_possible(draw: Callable[Arguments, list[Path]]) -> Callable[Arguments, list[Path]]:
    """The function, or one that draws nothing where nothing can be drawn: tables are worth having without plots."""

    @wraps(draw)
    def attempt(*arguments: Arguments.args, **options: Arguments.kwargs) -> list[Path]:
        return [] if missing() else draw(*arguments, **options)

    return attempt


def figure(n_panels: int) -> "tuple[Figure, list[Axes]]":
    """A figure of panels of one size, two or three to a row. Callers are decorated with `if_possible`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Identifiers in SVG are hashes with this salt; texts stay texts, which keeps files small.
    mpl.rcParams.update({"svg.hashsalt": "gscodec", "svg.fonttype": "none", "font.size": 9})
    columns = min(2 if n_panels == 4 else 3, n_panels)
    rows = -(-n_panels // columns)
    width = max(PANEL_INCHES[0] * columns, MIN_WIDTH_INCHES)
    made = Figure(figsize=(width, PANEL_INCHES[1] * rows), layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[n_panels:]:
        spare.set_axis_off()
    return made, axes[:n_panels]


def save(made: "Figure", stem: Path) -> list[Path]:
    """Write a figure as `stem`.svg and `stem`.png, without dates."""
    paths = [stem.with_name(stem.name + suffix) for suffix in (".svg", ".png")]
    stem.parent.mkdir(parents=True, exist_ok=True)
    made.savefig(paths[0], metadata={"Date": None, "Creator": None})
    made.savefig(paths[1], dpi=110, metadata={"Software": None})
    return paths


def style_of(codec: str, names: Sequence[str]) -> dict[str, Any]:
    """Colour, marker and line of a codec: ours strong, rivals thin, the same in every panel."""
    if is_ours(codec):
        number = [name for name in names if is_ours(name)].index(codec)
        colour, marker = _OURS[number % len(_OURS)], _MARKERS[number % len(_MARKERS)]
        return {"color": colour, "marker": marker, "linewidth": 2.0, "markersize": 4.5, "zorder": 3}
    return {"color": _COLOURS.get(codec, "#444444"), "marker": ".", "linewidth": 1.1, "linestyle": "--"}


@if_possible
def rate_distortion(rows: Sequence[Row], metric: str, rate_column: str, stem: Path) -> list[Path]:
    """A panel for each category: quality over rate, every codec a line, means over the category's pictures.

    A mean covers the rates at which all pictures of the category have a point, so that no step in it comes from a
    picture that drops out. Rates are logarithmic.
    """
    sign = 1.0 if ALL_METRICS[metric].higher_is_better else -1.0
    curves = curves_of(rows, metric, rate_column, sign=sign)
    groups = {name: images for name, images in categories_of(rows).items() if name != ALL or len(images) > 1}
    names = codecs_of(rows)
    made, axes = figure(len(groups))
    shown: dict[str, Any] = {}
    for (category, images), panel in zip(groups.items(), axes, strict=True):
        for codec in names:
            own = [curves[image, codec] for image in images if (image, codec) in curves]
            mean = mean_curve(own) if len(own) == len(images) else None
            if mean is not None:
                style = style_of(codec, names)
                if len(own) > 1:
                    style |= {"marker": ""}  # an interpolated mean has no points of its own
                (line,) = panel.plot(mean.rates, [sign * quality for quality in mean.qualities], **style)
                shown.setdefault(codec, line)
        dress(panel, f"{category} ({len(images)})", rate_column, ALL_METRICS[metric].label, log_x=True)
    made.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4 if len(groups) in {1, 2, 4} else 6)
    return save(made, stem)


def dress(panel: "Axes", title: str, x: str, y: str, *, log_x: bool = False, log_y: bool = False) -> None:
    """Title, labels, grid and scales of a panel."""
    panel.set_title(title, fontsize=9)
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.grid(visible=True, which="both", linewidth=0.3, color="#bbbbbb")
    for wanted, axis, scale in ((log_x, panel.xaxis, panel.set_xscale), (log_y, panel.yaxis, panel.set_yscale)):
        if wanted:
            scale("log")
            plain_ticks(axis)


def plain_ticks(axis: Any) -> None:
    """Numbers as people write them on a logarithmic axis: 0.2 and not 2 x 10^-1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


@if_possible
def bars(groups: Mapping[str, Mapping[str, float]], y: str, stem: Path) -> list[Path]:
    """A panel for each group, a bar for each of its values."""
    made, axes = figure(len(groups))
    for (name, values), panel in zip(groups.items(), axes, strict=True):
        panel.barh(list(values), list(values.values()), color="#1f77b4")
        panel.invert_yaxis()
        dress(panel, name, y, "")
        low = min(values.values())
        panel.set_xlim(left=low - 0.25 * (max(values.values()) - low + 1e-9))
    return save(made, stem)
