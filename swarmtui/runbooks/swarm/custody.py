"""The safety rule key-without-custody: a key, password or schedule must not depend on what ends with this program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swarmtui.runbooks.runbook import Facts, Rule
from swarmtui.vault import Kind, Vault, custody_of

RULE = "key-without-custody"


async def custody_facts(vault: Vault, kind: Kind, about: str, *, new: bool) -> Facts:
    """What `custody_rules` needs to know, as plain JSON values. For `survey`.

    Args:
        about: what the secret is about: the cluster's id for unlock keys.
        new: the secret is still to be made (autolock on, rotation): a place that is only read does not count.
    """
    custody = await custody_of(vault, kind, about, new=new)
    return {"durable": custody.durable, "words": custody.words, "next_step": custody.next_step}


def custody_rules(facts: Mapping[str, Any], cluster: str) -> tuple[Rule, ...]:
    """The rule that is broken where there is no durable custody; none where there is. For `plan`; pure.

    Args:
        facts: what `custody_facts` returned.
        cluster: what people call the cluster; `--accept key-without-custody=CLUSTER` names it.
    """
    if facts["durable"]:
        return ()
    return (Rule(RULE, cluster, f"{facts['words']} {facts['next_step']}".strip()),)
