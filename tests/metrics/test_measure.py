import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.transform import Rotation

from gscodec.errors import InvalidArgument
from gscodec.metrics import METRICS, flip, normal_error_deg, psnr, psnr_by_group, ssimulacra2
from gscodec.model.channels import AlphaMode, ChannelGroup, Role, Transfer

COLOUR = ChannelGroup("color")
NORMAL = ChannelGroup("normal", Role.NORMAL, transfer=Transfer.LINEAR)
AO = ChannelGroup("ao", Role.AO, 1, transfer=Transfer.LINEAR)


def random_pair(channels: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    first, second = np.random.default_rng(7).random((2, 40, 44, channels), np.float32)
    return first, second


def encoded(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return (vectors + 1) / 2


def test_a_known_rotation_is_measured_to_the_last_digits() -> None:
    vectors = np.random.default_rng(1).normal(size=(6, 5, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    for degrees in (1e-6, 0.5, 30.0, 180.0):
        axes = np.cross(vectors.reshape(-1, 3), [0.3, -0.5, 0.8])
        axes *= math.radians(degrees) / np.linalg.norm(axes, axis=1, keepdims=True)
        turned = Rotation.from_rotvec(axes).apply(vectors.reshape(-1, 3)).reshape(vectors.shape)
        assert normal_error_deg(encoded(vectors), encoded(turned)) == pytest.approx(degrees, rel=1e-6)


def test_agrees_with_the_arccosine_of_the_dot_product() -> None:
    a, b = random_pair(3)
    u, v = (2.0 * samples.astype(np.float64) - 1 for samples in (a, b))
    cosine = (u * v).sum(2) / np.linalg.norm(u, axis=2) / np.linalg.norm(v, axis=2)
    assert normal_error_deg(a, b) == pytest.approx(np.degrees(np.arccos(cosine)).mean(), rel=1e-6)


def test_length_does_not_matter_and_no_length_is_flat() -> None:
    long, short = np.array([[[1.0, 0.5, 0.5]]]), np.array([[[0.6, 0.5, 0.5]]])
    assert normal_error_deg(long, short) == pytest.approx(0, abs=1e-9)
    assert normal_error_deg(np.full((1, 1, 3), 0.5), np.array([[[0.5, 0.5, 1.0]]])) == 0.0
    with pytest.raises(InvalidArgument, match="3 channels"):
        normal_error_deg(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)))


def test_metrics_of_a_picture() -> None:
    a, b = random_pair(3)
    names = ["psnr", "ssim", "ms_ssim", "flip", "lpips", "ssimulacra2", "normal_deg", "log_psnr", "hdr_flip"]
    assert list(METRICS) == names
    assert METRICS["ssimulacra2"].measure(a, b, (COLOUR,)) == ssimulacra2(a, b)
    assert METRICS["ssimulacra2"].measure(a[:7], b[:7], (COLOUR,)) is None
    assert METRICS["psnr"].measure(a, b, (COLOUR,)) == psnr(a, b)
    assert METRICS["flip"].measure(a, b, (COLOUR,)) == flip(a, b)
    assert METRICS["normal_deg"].measure(a, b, (COLOUR,)) is None
    assert METRICS["psnr"].missing() is None


def test_metrics_of_a_stack() -> None:
    groups = (COLOUR, NORMAL, AO)
    a, b = random_pair(7)
    assert METRICS["flip"].measure(a, b, groups) is None
    assert METRICS["normal_deg"].measure(a, b, groups) == normal_error_deg(a[:, :, 3:6], b[:, :, 3:6])
    expected = {"color": psnr(a[:, :, :3], b[:, :, :3]), "normal": psnr(a[:, :, 3:6], b[:, :, 3:6])}
    assert psnr_by_group(a, b, groups) == expected | {"ao": psnr(a[:, :, 6:], b[:, :, 6:])}


def test_what_is_transparent_is_not_seen() -> None:
    a, b = random_pair(4)
    a[:, :, 3] = b[:, :, 3] = 0
    straight = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)
    assert METRICS["flip"].measure(a, b, straight) == 0.0
    premultiplied = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.PREMULTIPLIED),)
    assert METRICS["flip"].measure(a, b, premultiplied) == flip(a[:, :, :3], b[:, :, :3])


def test_lpips_leaves_small_pictures_out() -> None:
    a, b = random_pair(3)
    assert METRICS["lpips"].measure(a[:20], b[:20], (COLOUR,)) is None
