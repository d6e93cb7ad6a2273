"""A plan or a report in a file of its own, to print or to hand on: Markdown, or a shell script by the name's ending."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from swarmtui.runbooks import render
from swarmtui.runbooks.runbook import Plan
from swarmtui.ui.log_file import write_private

MARKDOWN, SCRIPT = ".md", ".sh"


def wrong_with(path: str, endings: Sequence[str] = (MARKDOWN,)) -> str:
    """What is wrong with a path to write to; "" when nothing is.

    Args:
        endings: what it may end in.
    """
    file = Path(path.strip()).expanduser()
    if not path.strip() or file.suffix.lower() not in endings:
        return f"Name a file that ends in {' or '.join(endings)}."
    if not file.parent.is_dir():
        return f"There is no folder {file.parent}."
    if os.path.lexists(file):
        return f"{file} is there already: it is not overwritten."
    return ""


def write_plan(path: str, plan: Plan) -> Path:
    """Writes a plan as a Markdown runbook, or as a shell script where the name ends so; returns where it is.

    Raises:
        UsageError: the file is there already, or cannot be written.
    """
    file = Path(path.strip()).expanduser()
    return write(path, render.script(plan) if file.suffix.lower() == SCRIPT else render.markdown(plan))


def write(path: str, text: str) -> Path:
    """Writes a text to a new file that only its owner can read (0600); returns where it is.

    Raises:
        UsageError: the file is there already, or cannot be written.
    """
    file = Path(path.strip()).expanduser()
    write_private(file, [text])
    return file
