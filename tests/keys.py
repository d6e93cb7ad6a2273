"""The key table of the README, made from the bindings: `python -m tests.keys` writes it, a test holds it true."""

from __future__ import annotations

from pathlib import Path

from textual.binding import Binding

from swarmtui.ui.keys import CHANGE, LOOK, where
from swarmtui.ui.log_keys import BINDINGS as LOGS
from swarmtui.ui.table_keys import BINDINGS as TABLE

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN = "<!-- keys: made by `python -m tests.keys`, checked by the tests -->\n"
END = "<!-- /keys -->\n"


def key_table() -> str:
    """The bindings as a Markdown table."""
    lines = ["| key | where | what it does | id |", "|---|---|---|---|"]
    for binding in (*LOOK, *CHANGE, *TABLE, *LOGS):
        assert isinstance(binding, Binding)
        key = (binding.key_display or binding.key).replace("\\", "\\\\").replace("|", "\\|")
        views = ["a log"] if binding in LOGS else where(binding.key, [binding])
        lines.append(f"| `{key}` | {', '.join(views) or 'everywhere'} | {binding.tooltip} | `{binding.id}` |")
    return "\n".join(lines) + "\n"


def written(text: str) -> str:
    """A README with the key table of now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + key_table() + END + tail


if __name__ == "__main__":
    README.write_text(written(README.read_text("utf-8")), "utf-8")
