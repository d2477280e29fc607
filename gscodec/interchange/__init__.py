"""Gaussians in forms that other tools read and write: NumPy archives, PLY, SVG, checkpoints of Image-GS."""
