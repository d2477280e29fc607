"""Byte layouts of the container: field tables, chunks, the table of contents and the page index (spec/igs.md)."""
