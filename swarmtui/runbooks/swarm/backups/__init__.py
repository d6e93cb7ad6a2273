"""swarm.backup: a cold backup of a manager, proved."""
