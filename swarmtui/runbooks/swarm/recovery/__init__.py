"""What happened to a Swarm, and the ways out: forcing, restoring, creating again, ending a split."""
