"""SVG pictures of Gaussians: an ellipse each, the largest at the bottom.

SVG paints over what is below, where a decoder blends the nearest Gaussians with weights normalised to one. So the
picture shows where Gaussians lie and what they hold; it is not the decoded picture.
"""

from typing import Final

import numpy as np

from gscodec.container.contents import Contents
from gscodec.interchange.colours import shown_background, shown_colours

RADIUS: Final = 1.0
"""Half axes of an ellipse in standard deviations. Those of a photograph with 1811 Gaussians come to 16.8 dB with 1, to
16.2 dB with 1.5, where they hide each other, and to 14.9 dB with 2."""


def pack_svg(contents: Contents) -> bytes:
    """Bytes of an SVG file of the picture's size, in UTF-8."""
    grid, gaussians = contents.grid, contents.gaussians
    order = np.argsort(gaussians.inv_scales.prod(axis=1), kind="stable")
    means = gaussians.means[order]
    radii = RADIUS / gaussians.inv_scales[order]
    degrees = np.rad2deg(np.mod(gaussians.rotations[order], np.pi))
    fills = [_fill(*colour) for colour in shown_colours(contents)[order].tolist()]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{grid.width}" height="{grid.height}" '
        f'viewBox="0 0 {grid.width} {grid.height}">',
        f"<title>{len(gaussians)} Gaussians</title>",
        f'<rect width="100%" height="100%" {_fill(*shown_background(contents).tolist())}/>',
    ]
    lines += [
        f'<ellipse rx="{_number(rx)}" ry="{_number(ry)}" {fill} '
        f'transform="translate({_number(x)} {_number(y)}) rotate({_number(angle)})"/>'
        for (x, y), (rx, ry), angle, fill in zip(means.tolist(), radii.tolist(), degrees.tolist(), fills, strict=True)
    ]
    return "\n".join([*lines, "</svg>\n"]).encode("utf-8")


def _number(value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _fill(red: int, green: int, blue: int, alpha: int) -> str:
    opacity = "" if alpha == 255 else f' fill-opacity="{_number(alpha / 255)}"'
    return f'fill="#{red:02x}{green:02x}{blue:02x}"{opacity}'
