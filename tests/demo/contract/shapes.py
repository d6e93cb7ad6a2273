"""The shape of an answer: its fields and their types, without its values."""

from __future__ import annotations

import re
from typing import Any

MAPS = {
    "Labels",
    "Options",
    "Attributes",
    "Containers",
    "Networks",
    "Runtimes",
    "IndexConfigs",
}
"""Objects whose keys are data."""

_MASKS = (
    (re.compile(r"\b[0-9a-z]{25}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+\b"), "<address>"),
    (re.compile(r"SWMTKN-1-[0-9a-z]+-[0-9a-z]+"), "<token>"),
    (re.compile(r"(?<=in use - )\[<hash>(, <hash>)*\]"), "[<hash>, …]"),
)
_USERS = re.compile(r"(?<=in use by the following services: )\w+(?:, \w+)*")


def mask(text: str) -> str:
    """A text without what differs from Swarm to Swarm."""
    for pattern, stand_in in _MASKS:
        text = pattern.sub(stand_in, text)
    # In the order of their ids, which are random.
    return _USERS.sub(lambda match: ", ".join(sorted(match[0].split(", "))), text)


def shape(value: Any, name: str = "") -> Any:
    """Fields and types. Fields that only some elements of a list have end in `?`."""
    if isinstance(value, dict):
        if name in MAPS:
            kinds = sorted({str(shape(v)) for v in value.values()})
            return f"map of {', '.join(kinds)}" if kinds else "map"
        return {key: shape(item, key) for key, item in sorted(value.items())}
    if isinstance(value, list):
        result: Any = None
        for item in value:
            found = shape(item)
            result = found if result is None else merge(result, found)
        return [result] if value else []
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "string"


def merge(one: Any, other: Any) -> Any:
    """What two shapes have in common, and what only one of them has."""
    if one == other:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        left = {key.rstrip("?"): (key, item) for key, item in one.items()}
        right = {key.rstrip("?"): (key, item) for key, item in other.items()}
        result = {}
        for key in sorted(left.keys() | right.keys()):
            if key in left and key in right:
                sometimes = left[key][0].endswith("?") or right[key][0].endswith("?")
                result[key + "?" * sometimes] = merge(left[key][1], right[key][1])
            else:
                result[key + "?"] = (left.get(key) or right[key])[1]
        return result
    if isinstance(one, list) and isinstance(other, list):
        if not one or not other:
            return one or other
        return [merge(one[0], other[0])]
    return " | ".join(sorted({*str(one).split(" | "), *str(other).split(" | ")}))
