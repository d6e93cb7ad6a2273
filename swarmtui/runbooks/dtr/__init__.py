"""What is done with DTR (MSR)."""
