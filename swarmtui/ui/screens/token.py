"""A join token or the unlock key, shown for a while on request, and hidden again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.timer import Timer

from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.runbooks.swarm.tokens import join_command
from swarmtui.ui.describe import Lines
from swarmtui.ui.screens.reading import ReadingScreen
from swarmtui.vault import Secret, fingerprint

SHOWN_SECONDS = 10.0
MASK = "•" * 20


def manager_address(snapshot: Snapshot) -> str:
    """Where a host joins: HOST:PORT of the leader, else of any reachable manager; "" where none is known."""
    managers = sorted(
        (node for node in snapshot.nodes.values() if node.is_reachable),
        key=lambda node: (not node.is_leader, node.name),
    )
    return next((one_line(node.manager_status.addr) for node in managers if node.manager_status is not None), "")


class PeekScreen(ReadingScreen):
    """Shows a secret; after 10 seconds it is not on the screen any more.

    Args:
        secret: what is shown, or hidden.
        lines: the screen with the secret, or with the mask in its place.
        copies: what `c` copies, and what that is called.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "peek", "Show", id="token.peek", tooltip="Show it again, for 10 seconds"),
        Binding("c", "copy", "Copy", id="token.copy", tooltip="Copy it, or the whole join command (OSC 52)"),
    ]

    def __init__(self, title: str, secret: Secret, lines: Callable[[str], Lines], copies: tuple[Secret, str]) -> None:
        super().__init__(title, lambda: lines(secret.reveal() if self._open else MASK))
        self._open = True
        self._copies = copies
        self._hiding: Timer | None = None

    def on_mount(self) -> None:
        self.action_peek()

    def action_peek(self) -> None:
        """Shows it, for a while from now."""
        if self._hiding is not None:
            self._hiding.stop()
        self._hiding = self.set_timer(SHOWN_SECONDS, self._hide)
        self._open = True
        self.renew()

    def _hide(self) -> None:
        self._open = False
        self.renew()

    def action_copy(self) -> None:
        secret, called = self._copies
        self.app.copy_to_clipboard(secret.reveal())
        self.app.notify(f"{called} is copied.", markup=False, timeout=2)


def _hidden(copied: str) -> tuple[str, str]:
    return "dim", f"Hidden after {SHOWN_SECONDS:g} seconds; p shows it, c copies {copied}."


def token_screen(role: str, token: Secret, address: str) -> PeekScreen:
    """A join token, and the command that joins a host with it.

    Args:
        role: worker or manager.
        address: HOST:PORT of a manager; "" where none is known.
    """
    command = join_command(token, address or "MANAGER:2377")
    more = ", and then read every secret of the Swarm." if role == "manager" else "."

    def lines(shown: str) -> Lines:
        return [
            ("title", f"{role.capitalize()} token"),
            ("command", f"  {shown}"),
            ("heading", "To be typed on the host that joins, with its own address"),
            ("command", f"  {join_line(shown, address)} --advertise-addr ADDRESS"),
            ("dim", f"Whoever has it can join{more}"),
            _hidden("the command (without --advertise-addr)"),
        ]

    return PeekScreen(f"Join as {role}", token, lines, (command, "The join command"))


def join_line(token: str, address: str) -> str:
    """The command, for the screen."""
    return f"docker swarm join --token {token} {address or 'MANAGER:2377'}"


def key_screen(key: Secret) -> PeekScreen:
    """The unlock key of the cluster."""

    def lines(shown: str) -> Lines:
        return [
            ("title", f"Unlock key {fingerprint(key)}"),
            ("command", f"  {shown}"),
            ("heading", "To be given to a manager that was restarted, on its standard input"),
            ("command", "  docker swarm unlock"),
            ("dim", "Whoever has it, and a manager's disk or a backup, can read every secret of the Swarm."),
            _hidden("the key"),
        ]

    return PeekScreen("Unlock key", key, lines, (key, "The unlock key"))
