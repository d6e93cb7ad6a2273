"""The report at the end of a drill, for people."""

from __future__ import annotations

from typing import Any


def as_text(report: dict[str, Any]) -> str:
    """How a drill went: solved or not, time, keys, what is left and what was risky.

    Args:
        report: what `Drill.report` says; `keys`, the number of keys pressed, is only known where a console was used.

    Returns:
        Lines of text; nothing for a scenario without a goal.
    """
    if not report["goal"]:
        return ""
    minutes, seconds = divmod(int(report["seconds"]), 60)
    state = "solved" if report["solved"] else "not solved"
    keys = report.get("keys")
    with_keys = "" if keys is None else f", {keys} {'key' if keys == 1 else 'keys'}"
    lines = [f"{report['scenario']}: {state} after {minutes} min {seconds} s{with_keys}", f"  goal: {report['goal']}"]
    lines += [f"  left: {text}" for text in report["left"]]
    lines += [f"  risky: {text}" for text in report["risky"]] or ["  risky: nothing"]
    return "\n".join(lines) + "\n"
