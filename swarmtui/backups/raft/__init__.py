"""What is inside a Swarm's directory, read offline, without Docker. File formats: swarm-dr.md §1."""

from swarmtui.backups.raft.contents import Contents, Member, Problem
from swarmtui.backups.raft.reading import read

__all__ = ["Contents", "Member", "Problem", "read"]
