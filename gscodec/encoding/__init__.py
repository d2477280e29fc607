"""From a source and a target to the bytes of a file: number of Gaussians, fit, quantisation, container."""
