"""`python -m gscodec.cli`: runs the program if its script is not on the path."""

import sys

from gscodec.cli.app import main

sys.exit(main())
