"""The calls to DTR as a person would type them: curl, with its authority, and no secret in an argument.

The password is asked for on the terminal, and lies in a 0600 file until the calls are over.
"""

from __future__ import annotations

import shlex

from swarmtui.model.dtr import facts
from swarmtui.model.url import https_url
from swarmtui.runbooks.runbook import Shown
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.by_hand import asked

CA = "dtr-ca.pem"
LOGIN = "dtr-login"


def authority(at: Where, https: int = facts.HTTPS_PORT) -> Shown:
    """Saves DTR's authority, asked on a replica's own host: nobody stands between."""
    there = Shown(f"curl -fsSk {https_url('127.0.0.1', https)}/ca", at.host, at.port)
    return Shown(f"{there.as_sh} > {CA}", here=True)


def login(user: str) -> tuple[Shown, ...]:
    """Keeps who calls in a file of curl's."""
    config = '"user = " + ($user + ":" + env.UCP_PASSWORD | tojson)'
    made = f"(umask 077; jq -rn --arg user {shlex.quote(user)} {shlex.quote(config)} > {LOGIN})"
    return asked("UCP_PASSWORD", f"Password of {user} on UCP"), Shown(made, here=True)


def opened(at: Where | None, https: int, user: str) -> tuple[Shown, ...]:
    """What comes before the calls: the authority, where a replica's host can tell it, and who calls."""
    return (*((authority(at, https),) if at is not None else ()), *login(user))


def call(url: str, path: str) -> str:
    """One call of whoever is logged in, in sh."""
    return f"curl -fsS --cacert {CA} -K {LOGIN} {shlex.quote(f'{url}{path}')}"


def logout() -> Shown:
    """Forgets who called."""
    return Shown(f"rm -f {LOGIN}", here=True)
