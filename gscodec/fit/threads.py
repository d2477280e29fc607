"""torch's threads kept out of a fit.

A step's own arrays are a few hundred kilobytes: too little for torch's threads to gain anything, and enough for torch
to start them. After each operation they then spin on the very cores that the engine's workers need: on two busy cores
a step took two to six times as long.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Within, torch computes on the calling thread alone; the engine's threads are its own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
