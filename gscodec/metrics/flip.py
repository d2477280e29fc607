"""FLIP: visibility of the difference between two pictures that alternate on a screen.

Andersson et al., "FLIP: A Difference Evaluator for Alternating Images", HPG 2020, by its authors' own package,
`flip-evaluator`, with its default viewing distance (a 0.7 m wide 4K screen seen from 0.7 m: 67 pixels per degree).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, MissingExtra
from gscodec.extras import install_command
from gscodec.metrics._samples import check_pair


def flip_missing() -> str | None:
    """Why FLIP cannot be computed here, or None if it can."""
    from importlib.util import find_spec

    return None if find_spec("flip_evaluator") else f"flip-evaluator is not installed: {install_command('metrics')}"


def flip(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Mean LDR-FLIP error, 0..1, and 0 for equal pictures; the first is the reference.

    Args:
        first: (H, W), (H, W, 1) or (H, W, 3) sRGB samples: unsigned integers, or floats in 0..1. Gray counts as RGB
            with three equal channels.
        second: the same shape and type.

    Raises:
        InvalidArgument: shapes differ, or neither gray nor RGB.
        MissingExtra: flip-evaluator is not installed.
    """
    return float(_evaluate(first, second)[1])


def flip_map(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """float32 (H, W) FLIP error of each pixel, 0..1; arguments and errors as `flip`."""
    return np.asarray(_evaluate(first, second)[0], np.float32).reshape(np.shape(first)[:2])


def _evaluate(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> tuple[Any, float]:
    reason = flip_missing()
    if reason:
        raise MissingExtra(reason)
    import flip_evaluator

    first, second, top = check_pair(first, second, None)
    if first.shape[2] not in {1, 3}:
        raise InvalidArgument(f"FLIP is for gray or RGB pictures, not for {first.shape[2]} channels")
    error_map, mean, _ = flip_evaluator.evaluate(_rgb(first, top), _rgb(second, top), "LDR", applyMagma=False)
    return error_map, mean


def _rgb(picture: npt.NDArray[Any], top: float) -> npt.NDArray[np.float32]:
    unit = np.clip(picture.astype(np.float32) / np.float32(top), 0, 1)
    return np.array(np.broadcast_to(unit, (*unit.shape[:2], 3)))  # a copy: the package takes writable arrays only
