"""Small questions: a line of text, a secret, a host key, yes or no."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import Screen
from textual.suggester import Suggester
from textual.widgets import Input, Static

from swarmtui.model.text import one_line
from swarmtui.ui.screen_keys import ASK

if TYPE_CHECKING:
    from swarmtui.link.hostkeys import HostKeyQuestion


class AskScreen(Screen[str | None]):
    """Asks for one line; dismissed with it, or None after esc.

    Args:
        question: shown above the line, may have several lines.
        secret: the line is not shown.
        value: what the line begins with; what is typed replaces it.
        check: says what is wrong with a line, or "".
        suggest: says what a line may become, or ""; the right arrow takes it. Asked in a thread.
    """

    BINDINGS: ClassVar[list[BindingType]] = ASK

    DEFAULT_CSS = """
    AskScreen { background: $surface; align: center middle; }
    AskScreen > Vertical { width: 90%; max-width: 100; height: auto; border: round $primary; padding: 0 1; }
    AskScreen VerticalScroll { height: auto; max-height: 65vh; scrollbar-size-vertical: 1; }
    AskScreen Static { height: auto; }
    AskScreen #ask-wrong { color: $error; }
    AskScreen Input { border: tall $primary; }
    """

    def __init__(
        self,
        question: str,
        *,
        secret: bool = False,
        value: str = "",
        check: Callable[[str], str] = lambda text: "",
        suggest: Callable[[str], str] | None = None,
    ) -> None:
        super().__init__()
        self._question = question
        self._secret = secret
        self._value = value
        self._check = check
        self._suggester = _Suggester(suggest) if suggest is not None else None

    def compose(self) -> ComposeResult:
        with Vertical():
            with VerticalScroll(can_focus=False):
                yield Static(self._question, markup=False)
            yield Input(value=self._value, password=self._secret, suggester=self._suggester, id="ask-line")
            yield Static("", id="ask-wrong", markup=False)
            take = " · right: take what is offered" if self._suggester is not None else ""
            yield Static(f"enter: go on · esc: leave{take}", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if wrong := self._check(event.value):
            self.query_one("#ask-wrong", Static).update(wrong)
            return
        self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)


class _Suggester(Suggester):
    """Offers what a function says."""

    def __init__(self, suggest: Callable[[str], str]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._suggest = suggest

    async def get_suggestion(self, value: str) -> str | None:
        return await asyncio.to_thread(self._suggest, value) or None


class UiPerson:
    """Answers a connection's questions by asking on the screen, one at a time."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._one = asyncio.Lock()

    async def _ask(self, screen: AskScreen) -> str | None:
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def done(value: str | None) -> None:
            if not answer.done():
                answer.set_result(value)

        async with self._one:
            await self._app.push_screen(screen, done)
            try:
                return await answer
            finally:
                if screen in self._app.screen_stack and not answer.done():
                    screen.dismiss(None)

    async def trust_host_key(self, q: HostKeyQuestion) -> bool:
        """Shows the fingerprint; only the word yes is a yes."""
        answer = await self._ask(
            AskScreen(
                f"The host key of {q.host}:{q.port} is not known.\n\n  {q.algorithm}\n  {q.sha256}\n\n"
                f'Compare it with: ssh-keygen -lf on that host. Type "yes" to trust it and write it to {q.file}.',
                check=lambda text: "" if text.strip().lower() in ("yes", "no") else "Type yes or no.",
            )
        )
        return answer is not None and answer.strip().lower() == "yes"

    async def unlock_key(self, about: str) -> str | None:
        return await self._ask(AskScreen(f"Unlock key for {one_line(about)} (it is not shown):", secret=True))

    async def secret(self, what: str) -> str | None:
        return await self._ask(AskScreen(f"{one_line(what)} (it is not shown):", secret=True))

    async def passphrase(self, key_file: str) -> str | None:
        return await self._ask(AskScreen(f"Passphrase of {key_file}:", secret=True))

    async def keep(self, what: str, where: str) -> bool:
        """Only the word yes is a yes."""
        answer = await self._ask(
            AskScreen(
                f'Keep {one_line(what)} in {where}, so that it is not asked for again? Type "yes" or "no".',
                check=lambda text: "" if text.strip().lower() in ("yes", "no") else "Type yes or no.",
            )
        )
        return answer is not None and answer.strip().lower() == "yes"

    async def password(self, user_at_host: str) -> str | None:
        return await self._ask(AskScreen(f"Password of {user_at_host}:", secret=True))
