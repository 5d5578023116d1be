"""`python -m confide.server`."""

import sys

from confide.server.main import main

if __name__ == "__main__":
    sys.exit(main())
