"""The command line: the console, the demo, and every operation without a screen."""
