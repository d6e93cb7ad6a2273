"""`python -m swarmtui.demo`."""

import sys

from swarmtui.demo.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
