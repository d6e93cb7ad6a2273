"""A run while it happens, a walkthrough: its steps at the left, the one in view at the right, and always what is safe
to do next and what it means to stop here."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.events import Resize
from textual.geometry import Region, Spacing
from textual.screen import Screen
from textual.widgets import Static

from swarmtui.errors import UsageError
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.render import can_fold
from swarmtui.runbooks.report import report
from swarmtui.runbooks.runbook import Step
from swarmtui.runbooks.runner import Choice
from swarmtui.ui import printing
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.prose import Prose, broken, styled
from swarmtui.ui.runs import Run
from swarmtui.ui.screen_keys import RUN
from swarmtui.ui.screens.asking import AskScreen
from swarmtui.ui.title import Title

ANSWERS = {
    "go": Choice.GO,
    "retry": Choice.RETRY,
    "by_hand": Choice.BY_HAND,
    "skip": Choice.SKIP,
    "leave": Choice.LEAVE,
}
"""Keys that answer a question of the run."""
LIST_CELLS = (36, 56)
"""How wide the list of steps is, at least and at most; never nearly half of a small screen."""
BESIDE = Spacing(1, 0, 2, 0)
"""Lines around the step in view that are in sight, too."""


class RunScreen(Screen[None]):
    """Watches a run; leaving it leaves the run alone.

    Args:
        production: the cluster is one, and the title says so in words and colour.
    """

    BINDINGS: ClassVar[list[BindingType]] = RUN
    AUTO_FOCUS = ""  # up and down choose a step, however long the text of one is

    DEFAULT_CSS = """
    RunScreen { background: $surface; }
    RunScreen #run-list { height: 100%; padding: 0 1; border-right: solid $panel; scrollbar-size-vertical: 1; }
    RunScreen #run-steps { height: auto; }
    RunScreen #run-detail { width: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    RunScreen > #run-safe { height: auto; background: $panel; padding: 0 1; }
    """

    def __init__(self, run: Run, cluster: str, *, production: bool = False) -> None:
        super().__init__()
        self.watched = run
        self._cluster = cluster
        self._production = production
        self._chosen: str | None = None
        self._folded = True
        self._shown = ""

    def compose(self) -> ComposeResult:
        title = self.watched.plan.title
        # Some titles name the cluster themselves.
        title = title if self._cluster in title else f"{title} on {self._cluster}"
        yield Title(title, production=self._production, id="run-title")
        with Horizontal():
            with VerticalScroll(id="run-list", can_focus=False):
                yield Static("", id="run-steps", markup=False)
            with VerticalScroll(id="run-detail"):
                yield Prose(id="run-text")
        yield Prose(id="run-safe")
        yield KeyBar()

    def on_mount(self) -> None:
        self.call_after_refresh(self._begin_watching)

    def _begin_watching(self) -> None:
        self.watched.show = self.show
        self.show()

    def on_resize(self, event: Resize) -> None:
        wide = event.size.width
        width = min(max(LIST_CELLS[0], wide * 3 // 10), LIST_CELLS[1], wide * 45 // 100)
        self.query_one("#run-list").styles.width = width
        if self._watches:
            self.call_after_refresh(self.show)

    @property
    def _watches(self) -> bool:
        return self.watched.show == self.show

    def _end_watching(self) -> None:
        if self._watches:
            self.watched.show = None

    def on_unmount(self) -> None:
        self._end_watching()

    # -- showing ---------------------------------------------------------------------------------------------------

    @property
    def _step(self) -> Step:
        steps = self.watched.plan.steps
        chosen = self._chosen
        if chosen is not None:
            return next(step for step in steps if step.id == chosen)
        return self.watched.current or steps[-1]

    def show(self) -> None:
        """Paints what changed."""
        run, step = self.watched, self._step
        self._show_list(step)
        detail = self.query_one("#run-detail", VerticalScroll)
        new = step.id != self._shown
        follows = bool(run.output[step.id]) and (new or detail.is_vertical_scroll_end)
        self._shown = step.id
        self.query_one("#run-text", Prose).show(run.detail(step, folded=self._folded))
        self.query_one("#run-safe", Prose).show(run.safe())
        if follows:
            detail.scroll_end(animate=False)
        elif new:  # nothing came of it yet: why, and what, are at its top
            detail.scroll_home(animate=False)
        self.refresh_bindings()

    def _show_list(self, chosen: Step) -> None:
        """The steps, the chosen one in sight. Where they have no room, all others have one line each."""
        run, around = self.watched, self.query_one("#run-list", VerticalScroll)
        width = around.scrollable_content_region.width
        told = [run.title(number, step) for number, step in enumerate(run.plan.steps, 1)]
        high = [len(broken(line, width)) for _, line in told] if width else []
        tight = sum(high) > around.size.height
        text, top, rows = Text(), 0, Region()
        for (style, line), step in zip(told, run.plan.steps, strict=True):
            shown = styled([(style, line)], width)
            if step is chosen:
                shown.stylize("reverse")
                rows = Region(0, top, 1, shown.plain.count("\n") + 1)
            elif tight and "\n" in shown.plain:
                shown = styled([(style, line)])
                shown.truncate(width, overflow="ellipsis")
            top += shown.plain.count("\n") + 1
            text.append_text(shown).append("\n")
        text.right_crop(1)
        self.query_one("#run-steps", Static).update(text)
        self.call_after_refresh(around.scroll_to_region, rows, spacing=BESIDE, animate=False, force=True)

    # -- keys ------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        run = self.watched
        if action in ANSWERS:
            return run.allows(ANSWERS[action])
        match action:
            case "hold":
                return run.runner is not None and run.outcome is None and not run.stopping
            case "stop":
                return run.outcome is None and not run.stopping
            case "save":
                return run.journal is not None
            case "whole":
                return can_fold((self._step,))
        return True

    def action_close(self) -> None:
        self._end_watching()
        self.dismiss()

    def action_go(self) -> None:
        """Lets the step begin that is held; or has the one verified that was done by hand."""
        self.watched.decide(Choice.GO)

    def action_retry(self) -> None:
        self.watched.decide(Choice.RETRY)

    def action_leave(self) -> None:
        """Leaves the part of the plan that failed as it is, and goes on with the next."""
        self._chosen = None
        self.watched.decide(Choice.LEAVE)

    def action_by_hand(self) -> None:
        """Takes the step over: it is only verified here."""
        self._chosen = None
        self.watched.decide(Choice.BY_HAND)

    def action_hold(self) -> None:
        """Has it ask before each step, or no longer."""
        self.watched.hold(not self.watched.holds)

    def action_stop(self) -> None:
        self.watched.stop()

    def action_skip(self) -> None:
        def skip(reason: str | None) -> None:
            if reason:
                self.watched.decide(Choice.SKIP, reason)

        question = "Why can this step be left out? The reason is kept in the journal."
        self.app.push_screen(
            AskScreen(question, check=lambda text: "" if text.strip() else "A reason is needed."), skip
        )

    def action_whole(self) -> None:
        """Shows the commands that wait, whole or in words."""
        self._folded = not self._folded
        self.show()
        self.query_one("#run-detail", VerticalScroll).scroll_home(animate=False)

    def action_copy(self, which: str = "step") -> None:
        """Copies the commands of the step in view, or of all of them."""
        steps = self.watched.plan.steps if which == "all" else (self._step,)
        self.app.copy_to_clipboard("\n".join(shown.as_sh for step in steps for shown in step.shown))
        words = "all steps" if which == "all" else "this step (C: of all)"
        self.app.notify(f"The commands of {words} are copied.", markup=False, timeout=2)

    def action_save(self) -> None:
        """Writes the report to a file: what was done, when, and where it stands."""
        run = self.watched
        journal = run.journal
        assert journal is not None

        def save(path: str | None) -> None:
            if path is None:
                return
            try:
                file = printing.write(path, report(Journal(journal).read(run.id)))
            except UsageError as error:
                self.app.notify(str(error), severity="error", markup=False)
            else:
                self.app.notify(f"The report is in {file}.", markup=False)

        question = f"Write the report to which file ({printing.MARKDOWN})? Later: swarmtui journal {run.id}"
        suggested = str(Path.cwd() / f"{run.id}{printing.MARKDOWN}")
        self.app.push_screen(AskScreen(question, value=suggested, check=printing.wrong_with), save)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#run-detail", VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_step(self, move: int) -> None:
        ids = [step.id for step in self.watched.plan.steps]
        at = max(0, min(len(ids) - 1, ids.index(self._step.id) + move))
        current = self.watched.current
        self._chosen = None if current is not None and ids[at] == current.id else ids[at]
        self.show()
