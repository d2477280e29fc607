"""Byte sources (files, streams, URLs read at offsets), atomic output files, and text for output."""
