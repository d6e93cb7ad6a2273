"""DTR over HTTPS: its health, its settings, where it keeps images, its jobs (reference/ucp-dtr.md §3.2)."""
