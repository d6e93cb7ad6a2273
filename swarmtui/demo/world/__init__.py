"""The simulated cluster itself: deterministic by seed, no I/O."""
