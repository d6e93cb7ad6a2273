"""A locked key file, opened here with the vault's keys; and by hand, with `swarmtui secrets open-key-file`."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from swarmtui.backups.errors import RaftError
from swarmtui.backups.raft.keyfile import parse
from swarmtui.cli import secrets
from swarmtui.errors import RefusedError, UsageError
from swarmtui.runbooks.swarm.recovery.key_file import opened_with
from swarmtui.vault import Secret, UnlockKey, fingerprint
from tests.backups.raft.real import real
from tests.backups.raft.test_damage import KEY, LOCKED, OTHER, clear, locked
from tests.runbooks.locked import durable_vault

CLUSTER = "a" * 25
RIGHT = Secret(real(LOCKED).key)


def kept(secret: Secret, state: str = "current") -> UnlockKey:
    return UnlockKey(secret, 1.0, state, None, fingerprint(secret))  # type: ignore[arg-type]


def test_an_older_key_opens_it_too_and_is_named() -> None:
    found = opened_with(locked()[KEY], [kept(OTHER), kept(RIGHT, "previous")])
    assert found is not None and found[1] is not None
    assert found[1].fingerprint == fingerprint(RIGHT) and not parse(found[0]).locked


def test_one_that_is_not_locked_needs_no_key_and_one_without_its_key_stays_locked() -> None:
    assert opened_with(clear()[KEY], []) == (clear()[KEY], None)
    assert opened_with(locked()[KEY], [kept(OTHER)]) is None


def test_what_is_no_key_file_is_refused() -> None:
    with pytest.raises(RaftError, match="no key file"):
        opened_with(b"something else", [kept(RIGHT)])


class Piped(io.BytesIO):
    """Standard input or output as a pipe; `terminal`: as a terminal."""

    def __init__(self, data: bytes = b"", *, terminal: bool = False) -> None:
        super().__init__(data)
        self.terminal = terminal

    @property
    def buffer(self) -> Piped:
        return self

    def isatty(self) -> bool:
        return self.terminal


async def _by_hand(monkeypatch: pytest.MonkeyPatch, given: Piped, out: Piped, *keys: Secret) -> int:
    vault = durable_vault()
    for number, key in enumerate(keys):
        await vault.store_unlock_key(CLUSTER, key, "current", float(number))
    monkeypatch.setattr(secrets, "shared", lambda: vault)
    monkeypatch.setattr(sys, "stdin", given)
    monkeypatch.setattr(sys, "stdout", out)
    try:
        return await secrets._open(SimpleNamespace(about=CLUSTER), SimpleNamespace(clusters={}))  # type: ignore[arg-type]
    finally:
        monkeypatch.undo()


async def test_by_hand_it_is_read_from_a_pipe_and_written_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Piped()
    assert await _by_hand(monkeypatch, Piped(locked()[KEY]), out, RIGHT, OTHER) == 0
    assert not parse(out.getvalue()).locked


@pytest.mark.parametrize("terminal", ["stdin", "stdout"])
async def test_an_unlocked_key_file_is_never_shown(monkeypatch: pytest.MonkeyPatch, terminal: str) -> None:
    given, out = Piped(locked()[KEY], terminal=terminal == "stdin"), Piped(terminal=terminal == "stdout")
    with pytest.raises(UsageError):
        await _by_hand(monkeypatch, given, out, RIGHT)
    assert out.getvalue() == b""


async def test_without_the_key_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Piped()
    with pytest.raises(RefusedError, match="None of the keys"):
        await _by_hand(monkeypatch, Piped(locked()[KEY]), out, OTHER)
    assert out.getvalue() == b""
