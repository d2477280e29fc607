"""`python -m gscodec.cli`: the program where its script is not on the path."""

import sys

from gscodec.cli.app import main

sys.exit(main())
