"""Measurements: gscodec beside its rivals, on any folder of pictures, into tables that a later run continues.

Outside the package that users install: `PYTHONPATH=benchmarks python -m gscodec_bench --help`, from a checkout.

Data flows one way: `sources` finds pictures and stacks, a suite of `suites` makes tasks of them (a picture, a codec, a
setting), `runner` carries them out with `codecs` and `measure`, each into a row of a `table`; `summary`, `plots` and
`report` read rows alone, so that they can be made again at any time without measuring anything.
"""

from typing import Final

PROGRAM: Final = "python -m gscodec_bench"
"""How the bench is started, benchmarks/ being on the path of Python."""
