"""Constants of the optimiser Adam."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AdamConstants:
    """Constants of Adam, in the notation of Kingma and Ba 2015; the fields of AdamConstants in native/render/adam.h."""

    beta1: float
    """Decay rate of the mean of the gradients, 0 to 1."""
    beta2: float
    """Decay rate of the mean of their squares, 0 to 1."""
    epsilon: float
    """Added to the root of that mean."""
