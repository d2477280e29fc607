"""The optimiser: samples of a picture in, Gaussians out. Needs torch."""
