"""What the codec is about, as plain types: Gaussians, grids, channels, levels of detail, limits. No input or output."""
