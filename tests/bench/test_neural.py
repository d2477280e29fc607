from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from gscodec_bench.codecs import get_codec
from gscodec_bench.codecs.neural import MODELS, STEPS
from gscodec_bench.measure import code
from gscodec_bench.neural_models import fit, from_bytes, largest_within, n_parameters, render, to_bytes

from gscodec.errors import BadFile, InvalidArgument
from gscodec.image.arrays import from_array
from gscodec.image.levels import to_native

Waves = Callable[..., npt.NDArray[np.uint8]]

SIDE = 32


@pytest.mark.parametrize("model", MODELS)
def test_the_loss_falls_within_the_budget(waves: Waves, model: str) -> None:
    stack = from_array(waves(SIDE, SIDE, 3))
    field = largest_within(model, 1000, SIDE, SIDE, 3)
    data = to_bytes(field)
    assert 700 < len(data) == 2 * n_parameters(field) <= 1000
    errors = fit(field, np.asarray(stack.samples, np.float32), 40, threads=1)
    assert errors[-1] < 0.9 * errors[0]
    # 16 bits lose little of what was fitted
    stored = render(from_bytes(model, to_bytes(field), SIDE, SIDE, 3), SIDE, SIDE)
    assert np.abs(stored - render(field, SIDE, SIDE)).max() < 0.05


@pytest.mark.parametrize(
    ("model", "n"),
    [
        ("siren", 2 * 8 + 8 + 2 * (8 * 8 + 8) + 8 * 3 + 3),
        ("ffn", 2 * (8 * 8 + 8) + 8 * 3 + 3),
        ("wire", 2 * 8 + 8 + 2 * (8 * 8 + 8) + 2 * (8 * 3 + 3)),
        ("reluf", 8 * 8 * 3),
        ("ingp", 4 * 8 * 2 + 8 * 12 + 12 + 12 * 3 + 3),
    ],
)
def test_parameters_are_those_of_the_formulas(model: str, n: int) -> None:
    """Networks of width 8: layers, grids and tables counted by hand."""
    assert n_parameters(largest_within(model, 2 * n, SIDE, SIDE, 3)) == n
    assert n_parameters(largest_within(model, 2 * n - 1, SIDE, SIDE, 3)) < n


def test_a_network_is_a_codec(waves: Waves) -> None:
    stack = from_array(waves(SIDE, 40, 3))
    codec = get_codec("neural:reluf:steps20", threads=1)
    assert codec.name == "neural:reluf:steps20"
    assert codec.available() is None
    assert codec.settings([0.5, 2]) == ["0.5", "2"]
    coded = code(stack, codec, "4", 0)
    assert coded.n_bytes <= 4 * SIDE * 40 / 8
    assert coded.files[0] == codec.encode(stack, "4")  # the same fit again
    decoded = codec.decode(coded.files[0], SIDE, 40)
    np.testing.assert_array_equal(decoded, to_native(coded.samples, stack.groups))
    gray = codec.refuses(from_array(waves(8, 8, 1)))
    assert gray == "1 channels, the networks have 3"
    assert get_codec("neural:siren").name == f"neural:siren:steps{STEPS}"


def test_faults_are_named() -> None:
    for name in ("neural:other", "neural:siren:steps", "neural:"):
        with pytest.raises(InvalidArgument, match=r"is not known: use neural:\{siren"):
            get_codec(name)
    with pytest.raises(InvalidArgument, match="use a higher rate"):
        largest_within("siren", 8, SIDE, SIDE, 3)
    with pytest.raises(BadFile, match="101 bytes of parameters"):
        from_bytes("reluf", bytes(101), SIDE, SIDE, 3)
