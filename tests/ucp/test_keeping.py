"""A secret that a plan makes is kept where the plan counts on, or nothing goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from swarmtui.runbooks.runbook import StepError, Voice
from swarmtui.runbooks.ucp.keeping import KeepNew
from swarmtui.vault import Kind, Sources, Vault
from swarmtui.vault.keeper import Keeper
from tests.vault.stores import Durable, Failing, none_here

CLUSTER = "kmm8u0o7ky9bs9axfidsilwhq"
KINDS = [Kind.UCP_PASSWORD, Kind.UCP_PASSPHRASE]


def step(kind: Kind, *, durable: bool = True) -> KeepNew:
    return KeepNew(id="keep", title="", why="", kind=kind, size=18, cluster_id=CLUSTER, cluster="prod", durable=durable)


def session(vault: Vault) -> Any:
    return SimpleNamespace(vault=vault)


def voice(said: list[str]) -> Voice:
    return Voice(said.append, lambda done, total, text: None)


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_made_once_kept_and_never_said(kind: Kind) -> None:
    vault, said = Vault(Keeper(Durable), Sources(environ={})), list[str]()
    assert await step(kind).already_done(session(vault), {}) == ""
    await step(kind).run(session(vault), {}, voice(said))
    await step(kind).verify(session(vault), {}, voice(said))
    kept = await vault.get(kind, CLUSTER)
    assert kept is not None and len(kept.reveal()) == 24 and kept.reveal() not in "".join(said)
    assert "is kept in the keyring of a test" in await step(kind).already_done(session(vault), {})


@pytest.mark.parametrize("kind", KINDS)
async def test_a_keyring_that_fails_just_then_leaves_nothing_that_a_retry_would_go_on_with(kind: Kind) -> None:
    store = Failing()
    vault, said = Vault(Keeper(lambda: store), Sources(environ={})), list[str]()
    with pytest.raises(StepError, match="be lost with this program; the plan was made for a keyring"):
        await step(kind).run(session(vault), {}, voice(said))
    assert said == [] and await step(kind).already_done(session(vault), {}) == ""
    store.good = 100
    await step(kind).run(session(vault), {}, voice(said))
    assert vault.durable and await vault.get(kind, CLUSTER) is not None


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_keyring_only_a_plan_that_counts_on_none_goes_on(kind: Kind) -> None:
    vault, said = Vault(Keeper(none_here), Sources(environ={})), list[str]()
    with pytest.raises(StepError, match="be lost with this program"):
        await step(kind).run(session(vault), {}, voice(said))
    assert await vault.get(kind, CLUSTER) is None
    await step(kind, durable=False).run(session(vault), {}, voice(said))
    assert await vault.get(kind, CLUSTER) is not None
