"""Safety rules on the command line: each that is broken is accepted by name, or nothing is done."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence

from swarmtui.errors import RefusedError, UsageError
from swarmtui.runbooks.runbook import Rule


class NotBrokenError(UsageError):
    """A rule was accepted that is not broken.

    Attributes:
        named: as it was given.
    """

    def __init__(self, named: str, broken: Sequence[str]) -> None:
        told = ", ".join(broken) or "none"
        super().__init__(f"--accept {named} names no rule that this plan breaks.", f"It breaks: {told}.")
        self.named = named


def with_accept(parser: ArgumentParser) -> None:
    """Adds the option of everything that safety rules may stop."""
    parser.add_argument(
        "--accept", action="append", default=[], metavar="RULE=OBJECT", help="accept that a safety rule is broken"
    )


def check_rules(rules: Sequence[Rule], accept: Sequence[str]) -> list[str]:
    """The rules that were accepted by name.

    Raises:
        RefusedError: one was not.
        NotBrokenError: what was accepted is not broken.
    """
    broken = {str(rule): rule for rule in rules}
    for named in accept:
        if named not in broken:
            raise NotBrokenError(named, list(broken))
    for text, rule in broken.items():
        if text not in accept:
            raise RefusedError(
                f"Refused by the safety rule {rule.id}: {rule.what}", f"Only if that is meant: --accept {text}"
            )
    return sorted(accept)
