"""The runbooks on the Swarm itself: how it is built, its locks, tokens, certificates and managers (B1 to B8, N4)."""
