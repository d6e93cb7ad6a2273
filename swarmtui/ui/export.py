"""A table as shown, written to a file: CSV or JSON, by the name's ending."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from swarmtui.errors import UsageError
from swarmtui.ui.cells import Column, Row
from swarmtui.ui.log_file import write_private

ENDINGS = (".csv", ".json")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def wrong_with(path: str) -> str:
    """What is wrong with a path to export to; "" when nothing is."""
    file = Path(path.strip()).expanduser()
    if not path.strip() or file.suffix.lower() not in ENDINGS:
        return "Name a file that ends in .csv or .json."
    if not file.parent.is_dir():
        return f"There is no folder {file.parent}."
    if os.path.lexists(file):
        return f"{file} is there already: it is not overwritten."
    return ""


def as_csv(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    """The table as CSV, titles first. A text that a spreadsheet would take for a formula gets a quote in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.title for column in columns])
    writer.writerows([_no_formula(cell.text) for cell in row] for row in rows)
    return out.getvalue()


def _no_formula(text: str) -> str:
    """A service called `=cmd|…` is data from the cluster, and must not run where somebody opens the file."""
    if text.startswith(_FORMULA) and text != "-":
        return f"'{text}"
    return text


def as_json(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    """The table as a JSON list of objects, by the keys of the columns."""
    keys = [column.key for column in columns]
    objects = [dict(zip(keys, (cell.text for cell in row), strict=False)) for row in rows]
    return json.dumps(objects, indent=2, ensure_ascii=False) + "\n"


def write(path: str, columns: Sequence[Column], rows: Sequence[Row]) -> Path:
    """Writes a table to a new file that only its owner can read (0600); returns where it is.

    Raises:
        UsageError: the name does not end in .csv or .json, the file is there already, or it cannot be written.
    """
    if wrong := wrong_with(path):
        raise UsageError(wrong, "Name another file.")
    file = Path(path.strip()).expanduser()
    write_private(file, [as_csv(columns, rows) if file.suffix.lower() == ".csv" else as_json(columns, rows)])
    return file
