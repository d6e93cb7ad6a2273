"""Where `swarmtui` and `python -m swarmtui` begin."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Runs the command line; returns the exit code."""
    # Importing makes a lot and frees nothing: the cycle collector would walk it all, again and again, for nothing.
    # It is on again once a cluster is open (`swarmtui.cli.opened`, `swarmtui.ui.app`).
    gc.disable()
    from swarmtui.cli.main import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
