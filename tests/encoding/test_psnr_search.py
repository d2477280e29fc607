import math
from dataclasses import dataclass

import pytest

from gscodec.encoding.psnr_search import SLACK_DB, LossRange, next_count, smallest_at

LOSSES = LossRange((0.12, 1.1), (0.03, 2.0))


@dataclass(frozen=True)
class Fake:
    """A fit, or a file."""

    psnr: float
    data: bytes = b""


class Picture:
    """One whose PSNR goes with the logarithm of the count, and whose files lose more or less than they are meant to."""

    def __init__(self, at_1000: float, slope: float, loses: float, scatter: float) -> None:
        self.at_1000, self.slope, self.loses, self.scatter = at_1000, slope, loses, scatter
        self.fitted: list[int] = []
        self.finished = 0

    def psnr(self, count: int) -> float:
        return self.at_1000 + self.slope * math.log2(count / 1000) + self.scatter * math.sin(1.7 * count)

    def probe(self, count: int) -> float:
        return self.psnr(count) - 3.0

    def fit(self, count: int) -> Fake:
        self.fitted.append(count)
        return Fake(self.psnr(count), bytes(count))

    def finish(self, fit: Fake, loss: float) -> Fake:
        self.finished += 1
        return Fake(fit.psnr - self.loses * loss, bytes(round(len(fit.data) * (1 - 0.1 * min(loss, 1.0)))))


def searched(picture: Picture, wanted: float, most: int = 10**6) -> tuple[Fake, bool]:
    return smallest_at(
        wanted,
        counts=[250, 1000],
        most=most,
        losses=LOSSES,
        probe=picture.probe,
        fit=picture.fit,
        finish=picture.finish,
    )


@pytest.mark.parametrize("loses", [0.6, 1.0, 1.5])
@pytest.mark.parametrize("scatter", [0.0, 0.15])
@pytest.mark.parametrize(("slope", "wanted"), [(2.4, 30.0), (1.5, 27.0), (3.6, 38.0), (3.0, 20.0)])
def test_a_target_is_met_closely_in_few_fits(slope: float, wanted: float, loses: float, scatter: float) -> None:
    picture = Picture(28.0, slope, loses, scatter)
    file, met = searched(picture, wanted)
    assert met
    assert wanted <= file.psnr <= wanted + SLACK_DB
    assert len(picture.fitted) <= 3
    assert picture.finished <= 5


def test_the_smaller_of_two_files_that_meet_the_target_is_taken() -> None:
    picture = Picture(28.0, 2.4, 0.0, 0.0)  # whose files lose nothing, whatever they are meant to
    file, met = searched(picture, 30.0)
    assert met
    assert file.psnr == min(picture.psnr(count) for count in picture.fitted if picture.psnr(count) >= 30.0)


def test_a_target_out_of_reach_gives_the_best_file() -> None:
    picture = Picture(28.0, 2.4, 1.0, 0.0)
    file, met = searched(picture, 60.0, most=4000)
    assert not met
    assert picture.fitted[-1] == 4000
    assert file.psnr == pytest.approx(picture.psnr(4000), abs=0.1)


def test_a_target_below_a_single_gaussian_is_met_by_it() -> None:
    picture = Picture(60.0, 2.4, 1.0, 0.0)
    file, met = searched(picture, 20.0)
    assert met
    assert len(file.data) == 1


def test_counts_inside_a_bracket_stay_clear_of_its_ends() -> None:
    assert 1000 < next_count({1000: 20.0, 4000: 30.0}, 29.99, 10**6) < 4000
    assert next_count({1000: 20.0, 1001: 30.0}, 25.0, 10**6) in {1000, 1001}
