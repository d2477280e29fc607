"""Judges of what a person sees that only the bench needs, beside the metrics that users have.

Butteraugli is libjxl's program `butteraugli_main` (Debian: libjxl-devtools), CVVDP the package `cvvdp`. Errors of block
means say what no metric of single pixels does: whether areas kept their lightness and their tint.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.metrics import METRICS, Metric
from gscodec.metrics.measure import Groups, Samples, visible
from gscodec_bench.colour import ciede2000, lab_of

BLOCK_PX: Final = 16
BUTTERAUGLI_PROGRAM: Final = "butteraugli_main"
MIN_SIDE_PX: Final = 8
"""Smallest side that Butteraugli and CVVDP take."""
_LUMA: Final = np.array([0.299, 0.587, 0.114])

Float64Array = npt.NDArray[np.float64]


def block_means(rgb: Samples, side: int = BLOCK_PX) -> Float64Array:
    """(rows, columns, 3) means of side x side blocks of (H, W, 3); blocks at the right and bottom may be smaller."""
    height, width = rgb.shape[:2]
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    sums = np.add.reduceat(np.add.reduceat(rgb.astype(np.float64), rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    return np.asarray(sums / counts[:, :, None], np.float64)


def block_luma(first: Samples, second: Samples) -> float:
    """RMS difference of the luma (Rec. 601) of 16-px block means, in 1/255 of the range; (H, W, 3) in 0..1."""
    difference = (block_means(first) - block_means(second)) @ _LUMA
    return 255 * float(np.sqrt(np.square(difference).mean()))


def block_hue(first: Samples, second: Samples) -> float:
    """Mean CIEDE2000 of the colours of 16-px block means; (H, W, 3) sRGB in 0..1."""
    return float(ciede2000(lab_of(block_means(first)), lab_of(block_means(second))).mean())


def butteraugli_missing() -> str | None:
    """Why Butteraugli cannot be computed here, or None if it can."""
    if shutil.which(BUTTERAUGLI_PROGRAM):
        return None
    return f"the program {BUTTERAUGLI_PROGRAM} is not on PATH: on Debian, apt-get install libjxl-devtools"


def butteraugli(first: Samples, second: Samples) -> float:
    """Butteraugli's 3-norm of the distance over pixels, 0 for equal pictures; the first is the reference.

    Args:
        first: (H, W, 3) sRGB in 0..1, rounded to 8 bits for the program; MIN_SIDE_PX or more.
        second: the same shape.

    Raises:
        RuntimeError: the program failed, or printed no 3-norm.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "first.ppm", Path(folder) / "second.ppm"]
        for path, picture in zip(paths, (first, second), strict=True):
            _write_ppm(path, picture)
        words = [BUTTERAUGLI_PROGRAM, *map(str, paths)]
        done = subprocess.run(words, check=False, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL)
    found = re.search(r"^3-norm:\s*([-+.\deE]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise RuntimeError(f"{BUTTERAUGLI_PROGRAM} ended with {done.returncode}: {' '.join(last)}")
    return float(found[1])


def cvvdp_missing() -> str | None:
    """Why CVVDP cannot be computed here, or None if it can."""
    return None if find_spec("pycvvdp") else "cvvdp is not installed: pip install cvvdp"


def cvvdp(first: Samples, second: Samples) -> float:
    """ColorVideoVDP of still pictures in JOD on a 4K display: 10 for equal pictures, one JOD less is seen by 75 %.

    Mantiuk et al., "ColorVideoVDP: A visual difference predictor for image, video and display distortions", SIGGRAPH
    2024, by its authors' package.

    Args:
        first: (H, W, 3) sRGB in 0..1, the reference.
        second: the same shape.
    """
    quality, _ = _cvvdp().predict(second, first, dim_order="HWC")
    return float(quality)


@cache
def _cvvdp() -> Any:
    import pycvvdp

    return pycvvdp.cvvdp(display_name="standard_4k")


def _write_ppm(path: Path, picture: Samples) -> None:
    height, width = picture.shape[:2]
    levels = np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.uint8)
    path.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + levels.tobytes())


def _seen(judge: Callable[[Samples, Samples], float], min_side: int = 1) -> Callable[..., float | None]:
    """The judge of pictures as they are displayed, gray as RGB; None for stacks, floats and too small pictures."""

    def measured(source: Samples, decoded: Samples, groups: Groups) -> float | None:
        pair = visible(source, groups), visible(decoded, groups)
        if pair[0] is None or pair[1] is None or min(pair[0].shape[:2]) < min_side:
            return None
        first, second = (np.array(np.broadcast_to(seen, (*seen.shape[:2], 3))) for seen in pair if seen is not None)
        return judge(first, second)

    return measured


_JUDGES: Final = (
    Metric("butteraugli3", "Butteraugli (3-norm)", False, _seen(butteraugli, MIN_SIDE_PX), butteraugli_missing),
    Metric("cvvdp", "CVVDP (JOD)", True, _seen(cvvdp, MIN_SIDE_PX), cvvdp_missing),
    Metric("block_luma", "luma of 16-px means (RMS, levels of 255)", False, _seen(block_luma)),
    Metric("block_hue", "colour of 16-px means (CIEDE2000)", False, _seen(block_hue)),
)
ALL_METRICS: Final = METRICS | {judge.name: judge for judge in _JUDGES}
"""The metrics of users and the judges of the bench, by name."""
