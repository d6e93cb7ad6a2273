"""Backups of a Swarm: taken, catalogued, looked into, and proved that they would restore."""
