"""LPIPS beside its paper's Equation 1 and AlexNet written out in NumPy, on random weights."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from gscodec.errors import InvalidArgument, MissingExtra
from gscodec.metrics import lpips, perceptual

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]
Array = npt.NDArray[np.float64]
# layer of AlexNet: channels in, channels out, side of the kernel, stride, padding
ALEXNET = {0: (3, 64, 11, 4, 2), 3: (64, 192, 5, 1, 2), 6: (192, 384, 3, 1, 1), 8: (384, 256, 3, 1, 1)}
ALEXNET |= {10: (256, 256, 3, 1, 1)}


@pytest.fixture(scope="module")
def backbone() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    tensors = {}
    for layer, (inner, outer, side, _, _) in ALEXNET.items():
        scale = (2 / (inner * side * side)) ** 0.5
        tensors[f"features.{layer}.weight"] = scale * torch.randn(outer, inner, side, side, generator=draw)
        tensors[f"features.{layer}.bias"] = 0.1 * torch.randn(outer, generator=draw)
    return tensors


@pytest.fixture
def cache_folder(backbone: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache, with weights of AlexNet's shapes in it."""
    (tmp_path / "checkpoints").mkdir()
    torch.save(backbone, tmp_path / "checkpoints" / perceptual.BACKBONE_FILE)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path


def patches(x: Array, side: int, stride: int, padding: int, fill: float) -> Array:
    """(h, w, channels, side, side) windows of (channels, H, W)."""
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding)], constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))[:, ::stride, ::stride]
    return windows.transpose(1, 2, 0, 3, 4)


def unit_activations(picture: npt.NDArray[np.uint8], backbone: dict[str, torch.Tensor]) -> list[Array]:
    x = picture.astype(np.float64).transpose(2, 0, 1) / 127.5 - 1
    mean, deviation = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x = (x - mean[:, None, None]) / deviation[:, None, None]
    layers = []
    for layer, (_, _, side, stride, padding) in ALEXNET.items():
        if layer in {3, 6}:
            x = patches(x, 3, 2, 0, 0).max(axis=(3, 4)).transpose(2, 0, 1)
        weight = backbone[f"features.{layer}.weight"].double().numpy()
        bias = backbone[f"features.{layer}.bias"].double().numpy()
        windows = patches(x, side, stride, padding, 0)
        x = np.maximum(np.tensordot(weight, windows, ([1, 2, 3], [2, 3, 4])) + bias[:, None, None], 0)
        layers.append(x / (np.linalg.norm(x, axis=0) + 1e-10))
    return layers


def layer_weights() -> list[Array]:
    package = find_spec("lpips")
    assert package is not None
    assert package.origin is not None
    stored = torch.load(Path(package.origin).parent / "weights/v0.1/alex.pth", weights_only=True, map_location="cpu")
    return [stored[name].double().numpy().ravel() for name in sorted(stored)]


@pytest.mark.usefixtures("cache_folder")
def test_agrees_with_the_formula(pictures: Pair, backbone: dict[str, torch.Tensor]) -> None:
    first, second = (unit_activations(picture, backbone) for picture in pictures)
    expected = sum(
        float(np.tensordot(weights, (a - b) ** 2, 1).mean())
        for a, b, weights in zip(first, second, layer_weights(), strict=True)
    )
    assert lpips(*pictures) == pytest.approx(expected, rel=1e-4)
    assert lpips(pictures[0], pictures[0]) == 0.0


@pytest.mark.usefixtures("cache_folder")
def test_scale_and_number_of_channels_do_not_matter(pictures: Pair) -> None:
    unit = [picture.astype(np.float32) / 255 for picture in pictures]
    assert lpips(*unit) == pytest.approx(lpips(*pictures), rel=1e-4)
    gray = [picture[:, :, :1] for picture in pictures]
    assert lpips(*gray) == lpips(*(np.repeat(picture, 3, axis=2) for picture in gray))


def test_what_the_network_cannot_see_is_refused() -> None:
    for shape in ((40, 31, 3), (40, 40, 2)):
        with pytest.raises(InvalidArgument, match="LPIPS"):
            lpips(np.zeros(shape), np.zeros(shape))


def test_missing_weights_are_named_and_not_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(MissingExtra, match=perceptual.BACKBONE_FILE):
        lpips(np.zeros((40, 40, 3)), np.zeros((40, 40, 3)))
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="pip install"):
        lpips(np.zeros((40, 40, 3)), np.zeros((40, 40, 3)))
