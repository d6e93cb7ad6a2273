"""The whole platform, Swarm, UCP and DTR: backed up as one set, and brought back in one walkthrough."""
