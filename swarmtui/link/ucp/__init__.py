"""UCP over HTTPS: its health, its accounts, its client bundles, and its backups from 3.2 on.

What each version answers: reference/ucp-dtr.md §3.1.
"""
