"""swarmtui: the console for Docker Swarm, UCP and DTR when it matters."""

__version__ = "0.1.0"
