"""Who has the cluster's key: what the cluster says is compared, and what cannot be read is never taken for "off"."""

from __future__ import annotations

import pytest

from swarmtui.errors import EngineError
from swarmtui.vault import Kind, Secret, Vault
from swarmtui.vault.holding import Get, cluster_key, compare

CLUSTER = "c" * 25
KEY = "SWMKEY-1-" + "A" * 43


def answering(body: bytes) -> Get:
    async def get(path: str) -> bytes:
        assert path == "/swarm/unlockkey"
        return body

    return get


async def test_with_autolock_off_there_is_no_key() -> None:
    assert await cluster_key(answering(b'{"UnlockKey":""}')) is None
    assert (await compare(answering(b"{}"), Vault.in_memory(), CLUSTER)).state == "off"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"UnlockKey":7}', f'["{KEY}"]'.encode()])
async def test_an_answer_that_cannot_be_read_is_an_error_and_tells_nothing_of_it(body: bytes) -> None:
    with pytest.raises(EngineError, match="about the unlock key cannot be read") as caught:
        await compare(answering(body), Vault.in_memory(), CLUSTER)
    assert KEY not in str(caught.value)


async def test_the_key_is_held_missing_or_another_one() -> None:
    get, vault = answering(f'{{"UnlockKey":"{KEY}"}}'.encode()), Vault.in_memory()
    assert (await compare(get, vault, CLUSTER)).state == "missing"
    await vault.put(Kind.UNLOCK_KEY, CLUSTER, Secret("SWMKEY-1-" + "B" * 43))
    assert (await compare(get, vault, CLUSTER)).state == "differs"
    await vault.put(Kind.UNLOCK_KEY, CLUSTER, Secret(KEY))
    assert (await compare(get, vault, CLUSTER)).state == "held"
