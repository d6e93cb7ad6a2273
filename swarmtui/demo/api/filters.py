"""The `filters` parameter: both of its forms, and the engine's words for what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from swarmtui.demo.world.errors import ApiError

Filters = dict[str, list[str]]


def parse(text: str, allowed: Collection[str] | None, *, malformed: int = 500) -> Filters:
    """Read `filters`.

    Args:
        text: the parameter; a map of lists, or of maps to true as the newer form has it.
        allowed: the names this call knows; None if it takes any.
        malformed: the status for what is no JSON; real engines differ by call.

    Raises:
        ApiError: malformed, or a name the call does not know.
    """
    if not text:
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        first = text.strip()[:1]
        raise ApiError(malformed, f"invalid character '{first}' looking for beginning of value") from None
    if not isinstance(value, dict):
        raise ApiError(malformed, "json: cannot unmarshal array into Go value of type map[string]map[string]bool")
    result: Filters = {}
    for name, entry in value.items():
        if isinstance(entry, dict):
            result[name] = [key for key, on in entry.items() if on]
        elif isinstance(entry, list) and all(isinstance(item, str) for item in entry):
            result[name] = entry
        else:
            kind = {str: "string", bool: "bool", int: "number", float: "number"}.get(type(entry), "array")
            raise ApiError(malformed, f"json: cannot unmarshal {kind} into Go value of type map[string]bool")
    for name in result:
        if allowed is not None and name not in allowed:
            raise ApiError(400, f"Invalid filter '{name}'")
    return result


def labels_match(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Does a set of labels satisfy all of `key` or `key=value`?"""
    for text in wanted:
        key, equals, value = text.partition("=")
        if key not in labels or (equals and value and labels[key] != value):
            return False
    return True


def prefixed(value: str, prefixes: Iterable[str]) -> bool:
    """Does it begin with one of these? With none given, everything does."""
    wanted = list(prefixes)
    return not wanted or any(value.startswith(prefix) for prefix in wanted)
