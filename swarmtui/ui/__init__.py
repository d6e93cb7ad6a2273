"""What people see: the Textual console. Nothing below this package imports Textual."""
