"""The Engine API of the simulated hosts."""
