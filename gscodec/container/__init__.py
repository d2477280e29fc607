"""Reading, writing, validating and describing whole `.igs` files. Depends only on NumPy and the native engine."""
