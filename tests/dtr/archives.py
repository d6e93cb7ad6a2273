"""Archives of DTR as listings show them (ucp-dtr.md §2.7), made without the product's code."""

from __future__ import annotations

from collections.abc import Sequence

from tests.ucp.archives import tar

UCP = "hxz5kf9atspjwnoa5oqlonigv"
REPLICA = "47f20fb864cf"
TABLES = ("properties", "repositories", "tags", "manifests", "events", "crons", "private_keys", "tuf_files")


def backup(version: str = "2.4.1", how: str = "", tables: Sequence[str] = TABLES) -> bytes:
    """A whole one."""
    top = f"dtr-backup-v{version}" + (f"-{how}" if how else "")
    return tar({f"{top}/rethink/{table}/{number}": b"{}\n" * 9 for table in tables for number in range(2)})
