"""Files for timing when no encoded picture is at hand."""

from gscodec.bench.synthetic import synthetic_file

__all__ = ["synthetic_file"]
