"""The optimiser: turns the samples of a picture into Gaussians."""
