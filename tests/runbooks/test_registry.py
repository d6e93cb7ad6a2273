"""A command line imports the runbook that it runs, and no other."""

from __future__ import annotations

import subprocess
import sys

from swarmtui.runbooks import registry

SHOW = """
import sys
from swarmtui.runbooks import registry
registry.runbook("node.drain")
print(*(name for name in sys.modules if name.startswith("swarmtui.runbooks.") or name == "yaml"))
"""


def test_one_is_imported_when_it_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    there = set(done.stdout.split())
    assert "swarmtui.runbooks.nodes" in there
    assert not [name for name in there if name.startswith(("swarmtui.runbooks.swarm.", "swarmtui.runbooks.ucp"))]
    assert not {"swarmtui.runbooks.stacks", "yaml"} & there


def test_all_are_there_by_their_own_names() -> None:
    registry.load_all()
    assert [name for name, runbook in registry.RUNBOOKS.items() if runbook.name != name] == []
    assert registry.RUNBOOKS["node.drain"] is registry.runbook("node.drain")
    assert len({type(runbook) for runbook in registry.RUNBOOKS.values()}) == len(registry.RUNBOOKS)
    assert "node.fly" not in registry.RUNBOOKS
