"""The question whether a typed passphrase may be kept."""

from __future__ import annotations

import asyncio

import pytest
from textual.app import App

from swarmtui.cli.ask import Terminal
from swarmtui.link.person import KeepingPerson
from swarmtui.ui.screens.asking import UiPerson


@pytest.mark.parametrize(
    ("keys", "kept"), [("yes", True), ("YES", True), ("no", False), ("y", None), ("", None)], ids=repr
)
async def test_only_the_word_yes_is_a_yes(keys: str, kept: bool | None) -> None:
    app: App[int] = App()
    async with app.run_test() as pilot:
        person = UiPerson(app)
        assert isinstance(person, KeepingPerson)
        asking = asyncio.create_task(
            person.keep("the passphrase of /home/a/.ssh/id", "the OS keyring (Secret Service)")
        )
        await pilot.pause()
        await pilot.press(*keys, "enter")
        await pilot.pause()
        assert asking.done() is (kept is not None)
        if kept is None:
            await pilot.press("escape")
        assert await asking is bool(kept)


@pytest.mark.parametrize(("line", "kept"), [("yes\n", True), ("y\n", False), ("\n", False), ("", False)])
async def test_on_a_terminal_too(
    line: str, kept: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.readline", lambda: line)
    assert isinstance(Terminal(), KeepingPerson)
    assert await Terminal().keep("the passphrase of /k", "the OS keyring (Secret Service)") is kept
    assert capsys.readouterr().err == "Keep the passphrase of /k in the OS keyring (Secret Service)? [yes/NO] "
