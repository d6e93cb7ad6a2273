"""What DTR (MSR) is: the one table of its versions, its state, its health. Pure."""
