"""What a cluster is. Pure: frozen data and functions over it; no I/O, no clock, no Textual."""
