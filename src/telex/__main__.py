import sys

from telex.cli import main

if __name__ == "__main__":
    sys.exit(main())
