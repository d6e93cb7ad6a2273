"""Placement constraints, as SwarmKit parses and matches them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from swarmtui.demo.world.objects import Node

_KEY = re.compile(r"^[a-z_][a-z0-9\-_.]+$", re.IGNORECASE)
_VALUE = re.compile(r"^[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+$", re.IGNORECASE)


class ConstraintError(ValueError):
    """A constraint that cannot be read; the text is the engine's."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """`key == value` or `key != value`."""

    key: str
    equal: bool
    value: str

    def matches(self, what: str) -> bool:
        """Does this value satisfy it? Case does not count."""
        return (self.value.lower() == what.lower()) == self.equal


def parse(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """Read constraints.

    Raises:
        ConstraintError: one of them is malformed.
    """
    result = []
    for text in texts:
        operator = next((op for op in ("==", "!=") if op in text), None)
        if operator is None:
            raise ConstraintError("constraint expected one operator from ==, !=")
        key, value = (part.strip() for part in text.split(operator, 1))
        if not _KEY.match(key):
            raise ConstraintError(f"key '{key}' is invalid")
        if not _VALUE.match(value):
            raise ConstraintError(f"value '{value}' is invalid")
        result.append(Constraint(key, operator == "==", value))
    return tuple(result)


def satisfied(constraints: Iterable[Constraint], node: Node) -> bool:
    """Does a node satisfy them all? An unknown key never does."""
    return all(_one(constraint, node) for constraint in constraints)


def _one(constraint: Constraint, node: Node) -> bool:
    key = constraint.key.lower()
    plain = {
        "node.id": node.id,
        "node.hostname": node.hostname,
        "node.role": node.role,
        "node.platform.os": node.os,
        "node.platform.arch": node.architecture,
    }
    if key in plain:
        return constraint.matches(plain[key])
    if key == "node.ip":
        return _address(constraint, node.address)
    for prefix, labels in (("node.labels.", node.labels), ("engine.labels.", node.engine_labels)):
        if key.startswith(prefix) and len(key) > len(prefix):
            return constraint.matches(labels.get(constraint.key[len(prefix) :], ""))
    return False


def _address(constraint: Constraint, address: str) -> bool:
    try:
        inside = ipaddress.ip_address(address) in ipaddress.ip_network(constraint.value, strict=False)
    except ValueError:
        return False
    return inside == constraint.equal
