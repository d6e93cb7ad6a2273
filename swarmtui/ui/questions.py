"""What is asked before an operation is planned: its parameters, by what the runbook itself declares."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from swarmtui.errors import UsageError
from swarmtui.runbooks import params
from swarmtui.ui.keys import Action
from swarmtui.ui.screens.asking import AskScreen

if TYPE_CHECKING:
    from textual.app import App

    from swarmtui.runbooks.params import Param
    from swarmtui.runbooks.runbook import Runbook


async def ask(app: App[int], action: Action, runbook: Runbook, about: str) -> dict[str, str] | None:
    """Asks for the parameters of an action; None when the person leaves.

    Args:
        about: for what, after the question: ", for wrk1".
    """
    given: dict[str, str] = {}
    declared = {param.name: param for param in runbook.params}
    for name in action.asks:
        param = declared[name]
        question = f"{param.help} ({param.shape}){about}:"
        answer = await app.push_screen_wait(AskScreen(question, check=partial(_wrong_value, runbook, param)))
        if answer is None:
            return None
        given[name] = answer
    if action.words:
        known = [declared[name] for name in action.words]
        shapes = "\n".join(f"  {param.name}={param.shape}" for param in known)
        ask_for = f"What shall be different{about}?" if not action.asks else "Anything else? enter goes on without."
        question = f"{ask_for} Words of KEY=VALUE, quoted where they have blanks:\n{shapes}"
        check = partial(_wrong_words, runbook, known, bool(action.asks))
        answer = await app.push_screen_wait(AskScreen(question, check=check))
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
