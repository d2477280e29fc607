"""Reads picture files into memory and writes decoded pictures to files."""
