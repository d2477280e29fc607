"""Keeps torch's thread pool out of a fit.

The arrays of a step hold a few hundred kilobytes: too little to gain from torch's threads, but enough for torch to
start them. After each operation they spin on the cores that the engine's workers need: on two busy cores a step took
two to six times as long.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Context in which torch computes on the calling thread alone; the engine's threads are not affected."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
