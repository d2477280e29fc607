"""The suites by name, each a module of data on the shared runner."""

from typing import Final

from gscodec.errors import InvalidArgument
from gscodec_bench.plan import Suite
from gscodec_bench.suites import ablation, arriving, check, crops, lod, rd, restoration, speed, stacks, visual

SUITES: Final = {
    suite.name: suite
    for suite in (
        rd.SUITE,
        visual.SUITE,
        crops.SUITE,
        stacks.SUITE,
        lod.SUITE,
        arriving.SUITE,
        ablation.SUITE,
        restoration.SUITE,
        speed.SUITE,
        check.SUITE,
    )
}


def get_suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        InvalidArgument: there is none.
    """
    if name not in SUITES:
        raise InvalidArgument(f"suite {name!r} is not known: use {', '.join(SUITES)}")
    return SUITES[name]
