"""`python -m service`: the same as the `tailrace` command, for where it is not on the path."""

import sys

from service.cli import main

if __name__ == "__main__":
    sys.exit(main())
