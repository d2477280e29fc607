import math
from pathlib import Path

import pytest
from gscodec_bench.votes import ANSWER_FIELDS, Z_95, count, read_answers, tally, wilson

from gscodec.errors import BadFile, InvalidArgument

KEY = {
    "page": "ab",
    "ours": "gscodec:fast",
    "rival": "avif",
    "trials": {
        "0": {"category": "photo", "ours": 1},
        "1": {"category": "photo", "ours": 0},
        "2": {"category": "art", "ours": 0},
    },
}


def answers(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([",".join(ANSWER_FIELDS), *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (7, 20), (10, 20), (20, 20), (481, 900)])
def test_ends_of_the_interval_solve_wilsons_equation(successes: int, n: int) -> None:
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            deviation = abs(successes / n - end) / math.sqrt(end * (1 - end) / n)
            assert deviation == pytest.approx(Z_95, rel=1e-9)
    mirrored = wilson(n - successes, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_an_interval_of_published_value() -> None:
    """81 of 263, of Newcombe, Statistics in Medicine 17 (1998), Table I: 0.2553 to 0.3662."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


def test_answers_are_counted_by_category(tmp_path: Path) -> None:
    one = answers(tmp_path / "one.csv", "ab,7,0,0,A,1.0", "ab,7,0,1,B,2.0", "ab,7,1,1,A,1.0", "ab,7,2,none,,1.0")
    two = answers(tmp_path / "two.csv", "ab,8,0,1,A,1.0", "ab,8,2,0,B,1.0")
    rows = read_answers([one, two, one])  # a file that was sent twice, and an answer that was changed
    assert len(rows) == 5
    votes = count(KEY, rows)
    assert list(votes) == ["art", "photo"]
    assert (votes["photo"].ours, votes["photo"].rival, votes["photo"].undecided) == (2, 1, 0)
    assert (votes["art"].ours, votes["art"].rival, votes["art"].undecided) == (1, 0, 1)
    text = tally(KEY, rows)
    assert "Viewers: 2. Answers: 5." in text
    assert "| all | 3 | 1 | 1 | 75 % | 30 to 95 % |" in text


def test_answers_to_something_else_are_refused(tmp_path: Path) -> None:
    for row in ("other,7,0,0,A,1.0", "ab,7,9,0,A,1.0", "ab,7,0,2,A,1.0"):
        with pytest.raises(InvalidArgument, match="use the page's own key"):
            count(KEY, read_answers([answers(tmp_path / "answers.csv", row)]))
    (tmp_path / "answers.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadFile, match=r"answers\.csv: no answers"):
        read_answers([tmp_path / "answers.csv"])
