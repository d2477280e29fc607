"""Area averages and codes on the device against the host's."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from host_runtime import HostRuntime

from gscodec.cuda.averages import DeviceAverage, to_codes
from gscodec.cuda.runtime import Runtime
from gscodec.decoding.scaled import shrink
from gscodec.errors import InvalidArgument
from gscodec.image.averages import SampleAverage
from gscodec.image.levels import full_range, to_native
from gscodec.model.channels import AlphaMode, ChannelGroup, SampleType

PLAIN = (ChannelGroup("color", n_channels=3),)
STRAIGHT = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT),)
PREMULTIPLIED = (ChannelGroup("color", n_channels=4, alpha=AlphaMode.PREMULTIPLIED),)
FLOATS = (
    ChannelGroup("color", n_channels=4, alpha=AlphaMode.STRAIGHT, sample_type=SampleType.FLOAT),
    ChannelGroup("height", n_channels=1, sample_type=SampleType.FLOAT),
)


def average(
    runtime: Runtime,
    values: npt.NDArray[np.float32],
    size: tuple[int, int],
    groups: tuple[ChannelGroup, ...],
    strips: tuple[int, int],
) -> npt.NDArray[np.float32]:
    """Averages in strips of the given numbers of output and cell rows."""
    made = DeviceAverage(runtime, values.shape[:2], size, SampleAverage(groups))
    result = np.empty((*size, values.shape[2]), np.float32)
    with runtime:
        for first in range(0, size[0], strips[0]):
            last = min(size[0], first + strips[0])
            sums = made.begin(first, last)
            begin, end = made.cells_of(first, last)
            for cell in range(begin, end, strips[1]):
                made.add(sums, first, runtime.upload(values[cell : min(end, cell + strips[1])]), cell)
            out = runtime.xp.empty(result[first:last].shape, np.float32)
            made.finish(sums, out)
            result[first:last] = runtime.download(out)
    return result


@pytest.mark.parametrize("groups", [PLAIN, STRAIGHT, PREMULTIPLIED, FLOATS], ids=["rgb", "rgba", "over", "floats"])
@pytest.mark.parametrize("size", [(5, 7), (9, 14), (18, 4), (1, 1), (17, 27)], ids=str)
def test_averages_are_the_host_s(
    device_runtime: Runtime, groups: tuple[ChannelGroup, ...], size: tuple[int, int]
) -> None:
    n_channels = sum(group.n_channels for group in groups)
    values = np.random.default_rng(3).uniform(-0.3, 1.3, (18, 28, n_channels)).astype(np.float32)
    values[2:9, 3:11, -1] = -0.1  # clear
    averaging = SampleAverage(groups)
    expected = np.concatenate([part for _, part in shrink(lambda a, b: values[a:b], (18, 28), size, averaging, 0)])
    found = average(device_runtime, values, size, groups, (3, 4))
    np.testing.assert_allclose(found, expected, rtol=3e-6, atol=1e-6)


def test_strips_do_not_show(device_runtime: Runtime) -> None:
    values = np.random.default_rng(4).random((37, 23, 4), np.float32)
    whole = average(device_runtime, values, (10, 9), STRAIGHT, (10, 37))
    for strips in ((1, 1), (3, 5), (10, 2)):
        assert np.array_equal(average(device_runtime, values, (10, 9), STRAIGHT, strips), whole)


def test_rows_far_down_a_huge_picture(runtime: HostRuntime) -> None:
    """Weights of the last output of an axis with the most cells there may be, next to the exact ones."""
    n, m = (1 << 20) - 3, (1 << 19) + 7
    made = DeviceAverage(runtime, (n, 1), (m, 1), SampleAverage((ChannelGroup("height", n_channels=1),)))
    begin, end = made.cells_of(m - 2, m)
    assert end == n
    values = np.arange(1, end - begin + 1, dtype=np.float32).reshape(-1, 1, 1) / 4
    sums, out = made.begin(m - 2, m), runtime.xp.empty((2, 1, 1), np.float32)
    made.add(sums, m - 2, runtime.upload(values), begin)
    made.finish(sums, out)
    for i, found in zip((m - 2, m - 1), runtime.download(out).reshape(-1), strict=True):
        edges = Fraction(i * n, m), Fraction((i + 1) * n, m)
        whole = [(Fraction(k), Fraction(k + 1)) for k in range(begin, end)]
        shares = (max(Fraction(0), min(edges[1], high) - max(edges[0], low)) for low, high in whole)
        exact = sum(s * Fraction(float(v)) for s, v in zip(shares, values.reshape(-1), strict=True)) * m / n
        assert found == pytest.approx(float(exact), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_codes_are_the_host_s(device_runtime: Runtime, dtype: type[np.uint8 | np.uint16]) -> None:
    values = np.random.default_rng(5).uniform(-0.2, 1.2, (7, 11, 3)).astype(np.float32)
    values[0, :5, 0] = [0, 1, 0.5, -0.0, 1e30]
    top = np.iinfo(dtype).max
    for depths in ((8, 8, 8), (1, 3, 5), (8, 2, 7)) if dtype is np.uint8 else ((16, 16, 16), (9, 12, 10), (16, 1, 15)):
        groups = tuple(
            ChannelGroup(f"data{k}" if k else "height", n_channels=1, bit_depth=depth) for k, depth in enumerate(depths)
        )
        expected = (
            full_range(values, dtype) if {2**depth - 1 for depth in depths} == {top} else to_native(values, groups)
        )
        with device_runtime:
            out = device_runtime.xp.empty(values.shape, dtype)
            to_codes(device_runtime, device_runtime.upload(values), [2**depth - 1 for depth in depths], out)
            assert np.array_equal(device_runtime.download(out), expected)


def test_arrays_that_do_not_fit_are_refused(runtime: HostRuntime) -> None:
    made = DeviceAverage(runtime, (8, 8), (4, 4), SampleAverage(PLAIN))
    xp = runtime.xp
    with pytest.raises(InvalidArgument, match="not float32 rows of 8"):
        made.add(made.begin(0, 4), 0, xp.empty((8, 7, 3), np.float32), 0)
    with pytest.raises(InvalidArgument, match="not 16 float32 outputs"):
        made.finish(made.begin(0, 4), xp.empty((4, 4, 3), np.float64))
    with pytest.raises(InvalidArgument, match="are not codes of"):
        to_codes(runtime, xp.zeros((4, 4, 3), np.float32), [255] * 3, xp.empty((4, 4), np.uint8))
