"""Answers of a blind comparison: who preferred what, and how sure that is."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gscodec.errors import BadFile, InvalidArgument
from gscodec_bench.tables import markdown_table

ANSWER_FIELDS: Final = ("page", "viewer", "trial", "choice", "side", "seconds")
"""Columns of a file of answers: `choice` is 0 or 1, the picture of the pair, or `none`; `side` is where it stood."""
Z_95: Final = 1.959963984540054
"""Quantile 0.975 of the normal distribution, for intervals of 95 %."""


@dataclass
class Votes:
    """Counts of one category."""

    ours: int = 0
    rival: int = 0
    undecided: int = 0

    def add(self, other: "Votes") -> None:
        """Count another category's too."""
        self.ours += other.ours
        self.rival += other.rival
        self.undecided += other.undecided


def wilson(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a binomial share by Wilson's score (E. B. Wilson, JASA 22 (1927), 209-212); (0, 1) for no trials.

    The shares p with |successes / n - p| <= z sqrt(p (1 - p) / n).
    """
    if n == 0:
        return 0.0, 1.0
    share, extra = successes / n, z * z / n
    centre = (share + extra / 2) / (1 + extra)
    half = z * math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


def read_answers(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Rows of all files; of several answers of one viewer to one trial the last counts.

    Raises:
        BadFile: a file is not one of answers.
    """
    last: dict[tuple[str, str, str], dict[str, str]] = {}
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != ANSWER_FIELDS:
                raise BadFile(f"{path}: no answers of a blind comparison: its first line is {','.join(ANSWER_FIELDS)}")
            for row in reader:
                last[row["page"], row["viewer"], row["trial"]] = row
    return list(last.values())


def count(key: Mapping[str, Any], answers: Iterable[Mapping[str, str]]) -> dict[str, Votes]:
    """Votes by category, in order of name.

    Args:
        key: what `blind.py` wrote beside the page: its `page`, and of each trial `category` and `ours`, 0 or 1.

    Raises:
        InvalidArgument: answers to another page or to no trial of this one.
    """
    found: dict[str, Votes] = {}
    for row in answers:
        trial = key["trials"].get(row["trial"])
        if row["page"] != key["page"] or trial is None or row["choice"] not in {"0", "1", "none"}:
            raise InvalidArgument(
                f"answer {row['trial']!r} = {row['choice']!r} is not one to page {key['page']}: use the page's own key"
            )
        votes = found.setdefault(trial["category"], Votes())
        if row["choice"] == "none":
            votes.undecided += 1
        elif int(row["choice"]) == trial["ours"]:
            votes.ours += 1
        else:
            votes.rival += 1
    return dict(sorted(found.items()))


def tally(key: Mapping[str, Any], answers: Sequence[Mapping[str, str]]) -> str:
    """A table in Markdown, a line for each category and one for all."""
    by_category = count(key, answers)
    total = Votes()
    for votes in by_category.values():
        total.add(votes)
    body = [_line(name, votes) for name, votes in by_category.items()]
    head = ["category", key["ours"], key["rival"], "cannot tell", f"{key['ours']} of decided", "95 % interval"]
    viewers = len({row["viewer"] for row in answers})
    return "\n".join(
        [
            f"Viewers: {viewers}. Answers: {len(answers)}. Intervals: Wilson's score, as if answers were independent.",
            "",
            *markdown_table(head, [*body, _line("all", total)]),
        ]
    )


def _line(name: str, votes: Votes) -> list[str]:
    decided = votes.ours + votes.rival
    low, high = wilson(votes.ours, decided)
    share = f"{100 * votes.ours / decided:.0f} %" if decided else "-"
    counts = [str(number) for number in (votes.ours, votes.rival, votes.undecided)]
    return [name, *counts, share, f"{100 * low:.0f} to {100 * high:.0f} %"]
