"""Plain types of the codec: Gaussians, grids, channels, levels of detail, limits. No input or output."""
