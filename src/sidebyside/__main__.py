"""``python -m sidebyside``: the command line."""

import sys

from sidebyside.cli import main

if __name__ == "__main__":
    sys.exit(main())
