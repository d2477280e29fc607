"""Profiles, that is storage formats of Gaussians: `f16`, `packed`, `coded` and `small`, with both directions."""
