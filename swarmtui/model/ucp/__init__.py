"""What UCP is: its facts by version, its words, its state. Pure."""
