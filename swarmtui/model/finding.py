"""What a rule finds: one thing that is wrong, or could be better."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct


class Severity(IntEnum):
    """As monitoring systems count it. ADVICE is worth doing and raises no alarm."""

    ADVICE = 0
    WARNING = 1
    CRITICAL = 2


class Finding(Struct, frozen=True):
    """One thing that is wrong or could be better.

    Attributes:
        rule: id of the rule, stable.
        about: name of the object concerned, "" for the whole cluster.
        what: one sentence.
        advice: what to do, one sentence.
        node_id: id of the node concerned, if it is one.
    """

    rule: str
    severity: Severity
    about: str
    what: str
    advice: str
    node_id: str = ""


def alarms(found: list[Finding]) -> list[Finding]:
    """The findings that call for somebody: warnings and critical ones."""
    return [finding for finding in found if finding.severity > Severity.ADVICE]
