"""How Gaussians are stored: `f16`, `packed`, `coded` and `small`, both directions of each side by side."""
