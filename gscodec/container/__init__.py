"""Whole `.igs` files: reading, writing, validating and describing them. Needs NumPy and the engine only."""
