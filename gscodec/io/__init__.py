"""Bytes and text in and out: files, streams and URLs read at offsets, files replaced atomically."""
