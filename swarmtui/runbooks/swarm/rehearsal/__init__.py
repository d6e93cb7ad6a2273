"""swarm.rehearse: a backup restored for real, in an isolated place."""
