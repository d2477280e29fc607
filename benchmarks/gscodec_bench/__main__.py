"""`python -m gscodec_bench`, with benchmarks/ on the path of Python."""

import sys

from gscodec_bench.command import main

if __name__ == "__main__":
    sys.exit(main())
