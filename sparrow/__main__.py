"""`python -m sparrow` is the command `sparrow`."""

import sys

from sparrow.cli import main

sys.exit(main())
