"""`--stats`: prints the cost of a request to stderr."""

from typing import TYPE_CHECKING

from gscodec.cli import _console

if TYPE_CHECKING:
    from gscodec.decoding.statistics import AccessStats


def say_stats(stats: "AccessStats") -> None:
    """Print bytes, pages and Gaussians in three lines."""
    share = 100 * stats.bytes_read / max(stats.file_bytes, 1)
    _console.say(f"read      {stats.bytes_read} of {stats.file_bytes} bytes ({share:.2f} %) in {stats.reads} reads")
    _console.say(f"pages     {stats.pages_read} of {stats.n_pages}, {stats.gaussians_read} Gaussians")
    if stats.points:
        _console.say(
            f"computed  {stats.points} points, {stats.candidates_per_point:.1f} Gaussians and "
            f"{stats.multiply_adds_per_point:.0f} multiply-adds each"
        )
