import pytest

from gscodec.errors import InvalidArgument
from gscodec.metrics import bpp, bppc


def test_rates_by_hand() -> None:
    assert bpp(9830, 512, 768) == pytest.approx(0.2, abs=1e-4)
    assert bppc(9830, 512, 768, 3) == pytest.approx(0.2 / 3, abs=1e-4)
    assert bpp(0, 1, 1) == 0.0
    assert bpp(1, 1, 1) == 8.0


@pytest.mark.parametrize("arguments", [(-1, 2, 2, 1), (1, 0, 2, 1), (1, 2, 0, 1), (1, 2, 2, 0)])
def test_impossible_rates_are_refused(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidArgument):
        bppc(*arguments)
