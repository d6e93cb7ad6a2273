"""Back and forward, habits, export: what needs no screen."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest

from swarmtui.errors import UsageError
from swarmtui.ui import export, habits
from swarmtui.ui.ages import age
from swarmtui.ui.cells import Cell, Column
from swarmtui.ui.filters import naming
from swarmtui.ui.habits import Habits, Sort
from swarmtui.ui.places import LONGEST, Place, Trail
from swarmtui.ui.questions import words
from swarmtui.ui.views import Facets, find

A, B, C = Place("nodes", "", "1"), Place("tasks", "node=wrk1", "2"), Place("services", "", "3")

# -- back and forward ------------------------------------------------------------------------------------------------


def test_back_and_forward_as_in_a_browser() -> None:
    trail = Trail()
    trail.leave(A)
    trail.leave(B)
    assert trail.back(C) == B
    assert trail.back(B) == A
    assert trail.back(A) is None
    assert trail.forward(A) == B
    assert trail.forward(B) == C
    assert trail.forward(C) is None


def test_a_place_is_remembered_as_it_was_left() -> None:
    trail = Trail()
    trail.leave(A)
    moved = Place("tasks", "db", "9")
    assert trail.back(moved) == A
    assert trail.forward(A) == moved


def test_going_somewhere_new_forgets_what_was_ahead() -> None:
    trail = Trail()
    trail.leave(A)
    trail.back(B)
    trail.leave(A)
    assert trail.forward(C) is None and trail.back(C) == A


def test_a_trail_has_an_end() -> None:
    trail = Trail()
    for number in range(LONGEST + 5):
        trail.leave(Place("nodes", str(number)))
    steps = 0
    while trail.back(A) is not None:
        steps += 1
    assert steps == LONGEST


# -- words of filters, names of views --------------------------------------------------------------------------------


def test_the_word_for_an_object_names_it_and_nothing_else() -> None:
    names = {"1": "wrk1", "2": "wrk10", "3": "twin", "4": "twin", "5": "odd name", "6": "a*"}

    def word(key: str) -> str:
        return naming("node", key, names, lambda each: Facets(node=(names[each], each)))

    assert [word(key) for key in names] == ["node=wrk1", "node=wrk10", "node=3", "node=4", "node=5", "node=6"]


def test_views_have_short_names_and_an_unknown_one_names_the_closest() -> None:
    assert [find(name) for name in ("no", "svc", "ta", "st", "net", "vol", "sec", "cm", "cfg", "ev", "jo")] == [
        "nodes", "services", "tasks", "stacks", "networks", "volumes", "secrets", "configs", "configs", "events",
        "journal",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="Did you mean :tasks"):
        find("taks")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "<1 min"), (59, "<1 min"), (60, "1 min"), (299, "3 min"), (3599, "45 min"), (3600, "1 h"), (172_800, "2 d")],
)
def test_ages_are_coarse(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_words_of_an_update_are_split_as_a_shell_does() -> None:
    assert words("image=web:2 'env=A=b c,D-' label=x=y") == {"image": "web:2", "env": "A=b c,D-", "label": "x=y"}
    assert words("env=A=b\\,c #x=1") == {"env": "A=b\\,c", "#x": "1"} and words(" ") == {}
    for text, why in (("image", "no KEY=VALUE"), ("a=1 a=2", "twice"), ("a='b", "no closing quotation")):
        with pytest.raises(UsageError, match=why):
            words(text)


# -- habits ----------------------------------------------------------------------------------------------------------


def test_habits_are_kept_for_their_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "state" / habits.FILE
    kept = Habits("tasks", {"nodes": Sort("state", True), "tasks": Sort("age")})
    assert habits.load(file) is None
    habits.save(file, kept)
    assert habits.load(file) == kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    habits.save(file, Habits("nodes"))
    assert habits.load(file) == Habits("nodes")
    assert [each.name for each in file.parent.iterdir()] == [habits.FILE]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pane": 3}', b"\xff\xfe", b'{"sorts": {"nodes": 1}}'])
def test_damaged_habits_are_told_in_one_sentence(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / habits.FILE
    file.write_bytes(text)
    with pytest.raises(UsageError, match=r"habits\.json cannot be read \(it is damaged\)"):
        habits.load(file)


def test_habits_that_cannot_be_kept_leave_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    (folder / habits.FILE).mkdir(parents=True)
    (folder / "file").write_text("")
    for place in (folder, folder / "file"):
        with pytest.raises(UsageError, match="cannot be kept"):
            habits.save(place / habits.FILE, Habits())
    assert sorted(each.name for each in folder.iterdir()) == ["file", habits.FILE]


# -- export ----------------------------------------------------------------------------------------------------------

COLUMNS = (Column("name", "NODE"), Column("state", "STATE"))
ROWS = [(Cell("mgr1 ←"), Cell("ready", "good")), (Cell('=cmd|"x"'), Cell("-")), (Cell("a,b"), Cell("zwölf"))]


def test_a_table_becomes_csv_that_a_spreadsheet_does_not_run(tmp_path: Path) -> None:
    file = export.write(str(tmp_path / "t.csv"), COLUMNS, ROWS)
    assert list(csv.reader(file.read_text("utf-8").splitlines())) == [
        ["NODE", "STATE"], ["mgr1 ←", "ready"], ["'=cmd|\"x\"", "-"], ["a,b", "zwölf"],
    ]  # fmt: skip
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_table_becomes_json_by_the_keys_of_its_columns(tmp_path: Path) -> None:
    file = export.write(str(tmp_path / "t.JSON"), COLUMNS, ROWS[:1])
    assert json.loads(file.read_text("utf-8")) == [{"name": "mgr1 ←", "state": "ready"}]


def test_nothing_is_overwritten_and_no_folder_is_made(tmp_path: Path) -> None:
    there = tmp_path / "there.csv"
    there.write_text("mine")
    dangling = tmp_path / "link.csv"
    dangling.symlink_to(tmp_path / "nowhere.csv")
    for path, why in (
        (there, "is there already"), (dangling, "is there already"), (tmp_path / "no" / "t.csv", "no folder"),
        (tmp_path / "t.txt", "ends in"), ("", "ends in"),
    ):  # fmt: skip
        assert why in export.wrong_with(str(path))
        with pytest.raises(UsageError, match=why):
            export.write(str(path), COLUMNS, ROWS)
    assert there.read_text() == "mine" and not (tmp_path / "nowhere.csv").exists()
