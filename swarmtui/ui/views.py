"""The views of the console: what there is to look at, what it is called, and how it becomes rows.

A view is one file in `panes/`, imported when it is first looked at: nothing but the first pane is loaded before the
first paint.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from swarmtui.errors import UsageError
from swarmtui.model.snapshot import Snapshot
from swarmtui.ui.cells import Column, Row, Rows
from swarmtui.ui.rows import Made

if TYPE_CHECKING:
    from swarmtui.model.health import Finding
    from swarmtui.ui.derive import Derived
    from swarmtui.ui.describe import Lines
    from swarmtui.ui.shelf import Shelf


class Facets(NamedTuple):
    """What the words `node=`, `service=`, `stack=` and `label=` of a filter ask of an object: names and ids."""

    node: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    stack: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}


NO_FACETS = Facets()
BEFORE = "\\_ "
"""In front of the name of a task that came before in its slot, as `docker service ps` writes it."""
HISTORY = "history"
"""The option that also shows the tasks that came before in each slot."""


@dataclass(frozen=True, slots=True)
class Env:
    """What rows depend on besides the snapshot.

    Attributes:
        now: seconds since the epoch.
        through: id of the node we talk through.
        zone_label: node label that names the zone.
        options: what a person switched on, such as "history".
        findings: what is wrong with the cluster, the worst first.
        events: the newest events of the engine, the oldest first.
        journal: folder of the journal.
        shelf: the backups in this machine's catalogue, as far as they were looked at.
    """

    now: float = 0.0
    through: str = ""
    zone_label: str = "zone"
    options: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    events: Sequence[Any] = ()
    journal: Path | None = None
    shelf: Shelf | None = None


class Maker(Protocol):
    """Makes the rows of a view; an object that did not change yields the row made before. One call at a time."""

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows: ...


class Kept:
    """Rows by what they were made from: an object whose basis did not change yields the row made before."""

    def __init__(self, make: Callable[..., Row]) -> None:
        self._make = make
        self._bases: Mapping[str, Iterable[Any]] = {}
        self._rows = Made(None, {})

    def rows(self, bases: Mapping[str, Iterable[Any]]) -> Rows:
        """The row of each id: `make(*basis)`, or the one made of an equal basis the last time."""
        before, rows, make = self._bases, self._rows, self._make
        made = {key: make(*basis) for key, basis in bases.items() if before.get(key) != basis}
        changed = {key: row for key, row in made.items() if rows.get(key) != row}
        removed = rows.keys() - bases.keys()
        if changed or removed:
            self._rows = Made(rows, changed, removed)
        self._bases = bases
        return self._rows


T = TypeVar("T")


class Once(Generic[T]):
    """What is worked out of a snapshot once, however often it is asked for."""

    def __init__(self, work_out: Callable[[Snapshot], T]) -> None:
        self._work_out = work_out
        self._known: tuple[Snapshot, T] | None = None

    def __call__(self, snapshot: Snapshot) -> T:
        held = self._known
        if held is None or held[0] is not snapshot:
            held = self._known = (snapshot, self._work_out(snapshot))
        return held[1]


def known(snapshot: Snapshot, *names: str) -> bool:
    """Whether each of these collections was read at least once."""
    return all((reading := snapshot.readings.get(name)) is not None and reading.known for name in names)


def _no_path(snapshot: Snapshot, key: str) -> str:
    return ""


def _no_facets(snapshot: Snapshot, key: str) -> Facets:
    return NO_FACETS


def _no_note(derived: Derived) -> str:
    return ""


def _read(env: Env) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How one kind of object is shown.

    Attributes:
        name: what `:NAME` goes to.
        one: what a single object is called.
        maker: makes a row maker, once.
        describe: everything known about the object with this id.
        reads: the collections of a snapshot that the rows come from; those that are not read all the time are asked
            for while the view is on the screen.
        sort: key of the column it is sorted by at first.
        path: where the engine gives the object as it is; "" for what no engine has.
        note: words for the title.
        none: what is said when there is nothing; "" for the usual words.
        unread: why rows that come from this machine are not known (yet), in a sentence; "" where they are.
        details: collections that `describe` looks at besides, where they are known.
        counted: whether the title says how many rows there are.
        own: the rows come from this machine: they are as good while no manager answers.
    """

    name: str
    one: str
    columns: tuple[Column, ...]
    maker: Callable[[], Maker]
    describe: Callable[[Derived, str], Lines]
    reads: tuple[str, ...] = ()
    sort: str = "name"
    reverse: bool = False
    path: Callable[[Snapshot, str], str] = field(default=_no_path)
    facets: Callable[[Snapshot, str], Facets] = field(default=_no_facets)
    note: Callable[[Derived], str] = field(default=_no_note)
    none: str = ""
    unread: Callable[[Env], str] = field(default=_read)
    details: tuple[str, ...] = ()
    counted: bool = True
    own: bool = False


class Entry(NamedTuple):
    """A view as the command line knows it, before it is loaded."""

    name: str
    title: str
    aliases: tuple[str, ...] = ()


ENTRIES = (
    Entry("nodes", "Nodes", ("no", "node")),
    Entry("services", "Services", ("svc", "service")),
    Entry("dtr", "DTR replicas", ("msr",)),
    Entry("backups", "Backups", ("bk",)),
    Entry("ucp", "UCP", ("mke",)),
    Entry("tasks", "Tasks", ("ta", "task")),
    Entry("stacks", "Stacks", ("st", "stack")),
    Entry("networks", "Networks", ("net", "network")),
    Entry("volumes", "Volumes", ("vol", "volume")),
    Entry("secrets", "Secrets", ("sec", "secret")),
    Entry("configs", "Configs", ("cfg", "cm", "config")),
    Entry("swarm", "Swarm", ("sw", "cluster")),
    Entry("events", "Events", ("ev", "event")),
    Entry("journal", "Journal", ("jo", "runs")),
)
TITLES = {entry.name: entry.title for entry in ENTRIES}
NAMES = {name: entry.name for entry in ENTRIES for name in (entry.name, *entry.aliases)}
"""What may be typed after `:` → the name of the view."""
TOGETHER = ("nodes", "services", "dtr", "backups")
"""The panes of the wide layout; every other view is shown alone."""


def find(text: str) -> str:
    """The name of the view that a person means.

    Raises:
        UsageError: there is none; names the closest.
    """
    if text in NAMES:
        return NAMES[text]
    close = difflib.get_close_matches(text, NAMES, 1)
    hint = f"Did you mean :{close[0]}?" if close else f"Views: {', '.join(TITLES)}."
    raise UsageError(f'There is no view "{text}".', hint)


def empty_words(view: View, snapshot: Snapshot, *, live: bool) -> str:
    """What is said where there is no row: never that there is nothing, when it could not be asked."""
    for name in view.reads[:1]:
        reading = snapshot.readings.get(name)
        if reading is None or not reading.known:
            if reading is not None and reading.trouble:
                return f"The {name} cannot be read: {reading.trouble}"
            return f"The {name} are being read." if live else f"The {name} are not known, and nobody can be asked now."
    return view.none or f"There are no {TITLES[view.name].lower()}."


def load_all() -> None:
    """Loads every view, while nobody waits for one."""
    for name in TITLES:
        view(name)


def view(name: str) -> View:
    """Loads a view. Raises KeyError for a name that is none."""
    if name not in TITLES:
        raise KeyError(name)
    found: View = importlib.import_module(f"swarmtui.ui.panes.{name}").VIEW
    return found
