"""The simulated hosts as SSH sees them."""
