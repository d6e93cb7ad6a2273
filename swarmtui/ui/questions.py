"""What is asked before an operation is planned: its parameters, by what the runbook itself declares."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from swarmtui.errors import UsageError
from swarmtui.model.text import one_line
from swarmtui.runbooks import params
from swarmtui.ui import views
from swarmtui.ui.current import DIFFERS, NOT_KEPT
from swarmtui.ui.keys import Action
from swarmtui.ui.screens.asking import AskScreen

if TYPE_CHECKING:
    from textual.app import App

    from swarmtui.runbooks.params import Param
    from swarmtui.runbooks.runbook import Runbook


async def ask_one(app: App[int], runbook: Runbook, name: str) -> str | None:
    """Asks for one parameter of a runbook; None when the person leaves."""
    param = next(param for param in runbook.params if param.name == name)
    question = f"{runbook.summary[:1].upper()}{runbook.summary[1:]}: {param.help} ({param.shape})"
    return await app.push_screen_wait(AskScreen(question, check=partial(_wrong_value, runbook, param)))


async def ask_more(
    app: App[int], runbook: Runbook, known: Sequence[Param], now: Mapping[str, str]
) -> dict[str, str] | None:
    """Asks for what may be said besides, as KEY=VALUE words; none for enter alone, None when the person leaves.

    Args:
        now: what is said already.
    """
    shapes = "\n".join(f"{_shape(param, now.get(param.name, ''))}   {param.help}" for param in known)
    question = f"Anything else? enter goes on without. Words of KEY=VALUE, quoted where they have blanks:\n{shapes}"
    check = partial(_wrong_words, runbook, known, True)
    suggest = partial(completed, names=[param.name for param in known], now=now)
    answer = await app.push_screen_wait(AskScreen(question, check=check, suggest=suggest))
    return words(answer) if answer is not None else None


NUMBERS = frozenset({"replicas"})
"""Parameters whose line begins with what they are now. A list of labels does not: what is taken out of the line would
stay all the same, as only KEY- removes one."""

TURNED = {"true": "false", "false": "true", NOT_KEPT: "true"}
"""Who comes to a switch comes to turn it; or to have the key taken into the vault."""


async def ask(
    app: App[int], action: Action, runbook: Runbook, about: str, now: Mapping[str, str]
) -> dict[str, str] | None:
    """Asks for the parameters of an action; None when the person leaves.

    Args:
        about: for what, after the question: ", for wrk1".
        now: what parameters are now, as `current.current` tells it.
    """
    given: dict[str, str] = {}
    declared = {param.name: param for param in runbook.params}
    what = f"{action.label} {views.view(action.view).one}" if action.label == "New" else action.label
    for name in action.asks:
        param = declared[name]
        question = f"{what}{about}: {param.help} ({param.shape})"
        value = now.get(name, "") if name in NUMBERS else TURNED.get(now.get(name, ""), "")
        if name in now and name not in NUMBERS:
            question += f"\nNow: {one_line(now[name])}"
        screen = AskScreen(
            question,
            value=value,
            check=partial(_wrong_value, runbook, param),
            suggest=path_completed if name == "file" else None,
        )
        answer = await app.push_screen_wait(screen)
        if answer is None:
            return None
        given[name] = answer
    if action.words:
        known = [declared[name] for name in action.words]
        shapes = "\n".join(_shape(param, now.get(param.name, "")) for param in known)
        # What is done to a row needs to be told what; what concerns no row has its defaults.
        free = bool(action.asks) or not action.on
        ask_for = "Anything else? enter goes on without." if free else f"What shall be different{about}?"
        question = f"{ask_for} Words of KEY=VALUE, quoted where they have blanks:\n{shapes}"
        check = partial(_wrong_words, runbook, known, free)
        suggest = partial(completed, names=action.words, now=now)
        answer = await app.push_screen_wait(AskScreen(question, check=check, suggest=suggest))
        if answer is None:
            return None
        given |= words(answer)
    return given


def words(text: str) -> dict[str, str]:
    """KEY=VALUE words, split at blanks outside quotes. A backslash stays: a runbook may read \\, as a comma.

    Raises:
        UsageError: a word is no KEY=VALUE, a key comes twice, or a quote is open.
    """
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        parts = list(lexer)
    except ValueError as error:
        raise UsageError(f"That cannot be read: {str(error).lower()}.") from None
    found: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f'"{part}" is no KEY=VALUE.')
        if key in found:
            raise UsageError(f'"{key}" comes twice: separate several values by commas.')
        found[key] = value
    return found


def completed(text: str, names: Sequence[str], now: Mapping[str, str]) -> str:
    """What is being typed with its last word completed: a key, or after the = what it is now; "" for nothing to add."""
    before, blank, word = text.rpartition(" ")
    key, equals, _ = word.partition("=")
    if equals:
        known = now.get(key, "")
        whole = f"{key}={known}" if known != DIFFERS and not any(c in " \t\"'" for c in known) else ""
    else:
        whole = next((f"{name}=" for name in names if key and name.startswith(key)), "")
    return f"{before}{blank}{whole}" if len(whole) > len(word) and whole.startswith(word) else ""


def path_completed(text: str) -> str:
    """A path whose last part is completed by the first thing that begins so; "" for nothing to add (blocking)."""
    folder, start = os.path.split(text)
    if not start:
        return ""
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:  # noqa: PTH111  # Path's raises for unknown users
            found = min((entry for entry in entries if entry.name.startswith(start)), key=lambda entry: entry.name)
            return text + found.name[len(start) :] + ("/" if found.is_dir() else "")
    except (OSError, ValueError):  # there is no such folder; nothing begins so
        return ""


def _shape(param: Param, now: str) -> str:
    return f"  {param.name}={param.shape}" + (f"   now {one_line(now)}" if now else "")


def _wrong_value(runbook: Runbook, param: Param, text: str) -> str:
    if param.name == "file" and text.strip() == "-":
        return "A console has no standard input to read: name a file."
    return _wrong(runbook, [param], {param.name: text})


def _wrong(runbook: Runbook, declared: Sequence[Param], given: dict[str, str]) -> str:
    try:
        params.parse(runbook.name, declared, given)
    except UsageError as error:
        return error.what
    return ""


def _wrong_words(runbook: Runbook, declared: Sequence[Param], may_be_empty: bool, text: str) -> str:
    try:
        given = words(text)
    except UsageError as error:
        return error.what
    if not given and not may_be_empty:
        return f"Type what shall be different, such as {declared[0].name}={declared[0].shape}."
    return _wrong(runbook, declared, given)
