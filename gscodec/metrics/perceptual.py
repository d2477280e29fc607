"""LPIPS: distance between activations of an image classification network.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018, version 0.1 on
AlexNet. Weights come from two places: the per-layer weights of the distance from the authors' package `lpips`,
AlexNet's from torch's cache, where torchvision puts them. Nothing is downloaded; the metric is available only if both
exist. The package's code is not imported, because its import of torchvision ties it to one build of torch.

Inputs are scaled to [-1, 1], as the network expects. Figures taken with samples in [0, 1], which some papers report,
are smaller and cannot be compared with these.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gscodec.errors import InvalidArgument, MissingExtra
from gscodec.extras import install_command
from gscodec.metrics._samples import check_pair

BACKBONE_FILE: Final = "alexnet-owt-7be5be79.pth"
"""Name under which torchvision keeps AlexNet's published weights."""

MIN_SIDE: Final = 32
"""Minimum side in px; smaller pictures leave the last layers without activations."""

_MEAN, _DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's, for samples in [-1, 1]
_LAYERS: Final = ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))
"""AlexNet's convolutions: position among its `features`, stride, padding. Pooling comes before the second and third."""


def lpips_missing() -> str | None:
    """Why LPIPS cannot be computed here, or None if it can. Loads torch only if the package is installed."""
    if not find_spec("lpips") or not find_spec("torch"):
        return f"lpips is not installed: {install_command('metrics')}"
    path = _backbone_path()
    return None if path.exists() else f"AlexNet's weights are not in torch's cache ({path.parent.name}/{path.name})"


def lpips(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """LPIPS distance, 0 for equal pictures, larger for more different ones.

    Args:
        first: (H, W), (H, W, 1) or (H, W, 3) sRGB samples: unsigned integers, or floats in 0..1; MIN_SIDE or more.
        second: the same shape and type.

    Raises:
        InvalidArgument: shapes differ, neither gray nor RGB, or too small for the network.
        MissingExtra: the package or AlexNet's weights are missing.
    """
    first, second, top = check_pair(first, second, None)
    if first.shape[2] not in {1, 3} or min(first.shape[:2]) < MIN_SIDE:
        raise InvalidArgument(f"LPIPS is for gray or RGB pictures of {MIN_SIDE} px or more, not for {first.shape}")
    reason = lpips_missing()
    if reason:
        raise MissingExtra(reason)
    import torch

    backbone, weights = _weights(_backbone_path())
    total = 0.0
    with torch.no_grad():
        layers = zip(_activations(first, top, backbone), _activations(second, top, backbone), weights, strict=True)
        for a, b, weight in layers:
            total += float(((a - b).square() * weight).sum(1).mean())
    return total


def _backbone_path() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE_FILE


@cache
def _weights(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """AlexNet's tensors by name, and for each layer the (1, channels, 1, 1) weights of its distance."""
    import torch

    spec = find_spec("lpips")
    assert spec is not None
    assert spec.origin is not None
    linear = torch.load(
        Path(spec.origin).parent / "weights" / "v0.1" / "alex.pth", weights_only=True, map_location="cpu"
    )
    backbone = torch.load(path, weights_only=True, map_location="cpu")
    return backbone, [linear[f"lin{layer}.model.1.weight"] for layer in range(len(_LAYERS))]


def _activations(picture: npt.NDArray[Any], top: float, backbone: dict[str, Any]) -> list[Any]:
    """Each layer's (1, channels, h, w) activations, of unit length over the channels."""
    import torch
    from torch.nn import functional

    unit = np.broadcast_to(picture.astype(np.float32) / np.float32(top), (*picture.shape[:2], 3))
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(unit * 2 - 1, 2, 0)))[None]
    x = (x - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_DEVIATION)[:, None, None]
    result = []
    for layer, (position, stride, padding) in enumerate(_LAYERS):
        if layer in {1, 2}:
            x = functional.max_pool2d(x, 3, 2)
        kernel, bias = (backbone[f"features.{position}.{name}"] for name in ("weight", "bias"))
        x = functional.conv2d(x, kernel, bias, stride, padding).relu()
        result.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
    return result
