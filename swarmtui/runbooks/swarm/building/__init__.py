"""swarm.build, swarm.init, swarm.join: bare hosts become a Swarm."""
