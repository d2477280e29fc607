import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscodec.model.gaussians import GaussianSet
from gscodec.profiles.f16 import dequantize_records, quantize_records, record_fault
from gscodec.profiles.morton import morton_codes, record_codes


def gaussians_of(mean: tuple[float, float], scale: float, rotation: float, feature: float) -> GaussianSet:
    return GaussianSet(
        np.array([mean], np.float64),
        np.array([[scale, scale]], np.float64),
        np.array([rotation], np.float64),
        np.array([[feature]], np.float32),
    )


@given(
    st.integers(1, 1 << 20),
    st.integers(1, 1 << 20),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(2.0**-14, 64),
    st.floats(-1e6, 1e6),
    st.floats(-65504, 65504, width=32),
)
@settings(max_examples=150, deadline=None)
def test_errors_stay_within_half_a_step(
    height: int, width: int, u: float, v: float, scale: float, rotation: float, feature: float
) -> None:
    source = gaussians_of((u * width, v * height), scale, rotation, feature)
    records = quantize_records(source, height, width)
    assert record_fault(records) is None
    back = dequantize_records(records, height, width)
    half_step = np.array([width, height]) / 65535 / 2
    assert (np.abs(back.means - source.means) <= half_step * (1 + 1e-9) + 1e-12).all()
    assert abs(back.inv_scales[0, 0] - scale) <= scale * 2.0**-11
    turn = (back.rotations[0] - rotation + np.pi / 2) % np.pi - np.pi / 2
    assert abs(turn) <= np.pi / 65536 / 2 + 1e-9
    assert abs(float(back.features[0, 0]) - feature) <= max(abs(feature) * 2.0**-11, 2.0**-25)
    again = quantize_records(back, height, width)
    assert (again == records).all()


def test_values_outside_the_range_are_clamped() -> None:
    source = GaussianSet(
        np.array([[-5.0, 1e300], [30.0, -1e300]]),
        np.array([[1e-9, 1e9], [0.0, 64.0]]),
        np.array([np.pi, -1e-12]),
        np.array([[1e30], [-1e30]], np.float32),
    )
    records = quantize_records(source, 10, 20)
    assert records[:, :2].tolist() == [[0, 65535], [65535, 0]]
    back = dequantize_records(records, 10, 20)
    assert back.inv_scales.tolist() == [[2.0**-14, 64.0], [2.0**-14, 64.0]]
    assert back.rotations.tolist() == [0.0, 0.0]
    assert back.features.ravel().tolist() == [65504.0, -65504.0]


def test_half_floats_round_to_even() -> None:
    source = gaussians_of((0, 0), 1 + 2.0**-11, 0, 1 + 3 * 2.0**-11)
    back = dequantize_records(quantize_records(source, 1, 1), 1, 1)
    assert back.inv_scales[0, 0] == 1.0
    assert back.features[0, 0] == 1 + 2 * 2.0**-10


@pytest.mark.parametrize(
    "bits", [0x0000, 0x0001, 0x03FF, 0x5401, 0x7BFF, 0x7C00, 0x7C01, 0x7E00, 0x8000, 0xBC00, 0xFFFF]
)
def test_bad_inverse_scale_bits_are_named(bits: int) -> None:
    records = quantize_records(gaussians_of((1, 1), 1, 0, 0.5), 4, 4)
    records[0, 3] = bits
    assert record_fault(records, 7) == "Gaussian 7 has an inverse scale outside 2^-14..64"


@pytest.mark.parametrize("bits", [0x7C00, 0x7C01, 0x7DFF, 0x7E00, 0xFC00, 0xFD00, 0xFFFF])
def test_bad_feature_bits_are_named(bits: int) -> None:
    records = quantize_records(gaussians_of((1, 1), 1, 0, 0.5), 4, 4)
    records[0, 5] = bits
    assert record_fault(records) == "Gaussian 0 has a feature that is not finite"


@pytest.mark.parametrize("bits", [0x0000, 0x8000, 0x0001, 0x7BFF, 0xFBFF])
def test_zero_denormal_and_largest_features_are_fine(bits: int) -> None:
    records = quantize_records(gaussians_of((1, 1), 1, 0, 0.5), 4, 4)
    records[0, 5] = bits
    assert record_fault(records) is None


def test_morton_codes_interleave() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 1 << 32, (2, 20))
    slow = [
        sum((int(a) >> bit & 1) << 2 * bit | (int(b) >> bit & 1) << 2 * bit + 1 for bit in range(32))
        for a, b in zip(x, y, strict=True)
    ]
    assert morton_codes(x, y).tolist() == slow


def test_record_codes_count_both_axes_in_one_unit() -> None:
    # In an image four times as wide as high, a step of v along x is four times as long as along y.
    records = np.array([[65535, 0], [0, 65535], [0, 0]], np.uint16)
    x, y = record_codes(records, 100, 400)[:2].tolist()
    assert [x, y] == [
        int(morton_codes(np.array([65535]), np.array([0]))[0]),
        int(morton_codes(np.array([0]), np.array([16383]))[0]),
    ]
