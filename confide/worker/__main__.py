"""`python -m confide.worker`."""

import sys

from confide.worker.main import main

if __name__ == "__main__":
    sys.exit(main())
