"""The keys: README, ids and remapping."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.binding import Binding

from swarmtui.errors import UsageError
from swarmtui.ui.keys import CHANGE, LOOK, check_keys
from swarmtui.ui.table_keys import BINDINGS as TABLE
from tests.keys import README, written

ALL = [binding for binding in (*LOOK, *CHANGE, *TABLE) if isinstance(binding, Binding)]


def test_the_readme_has_the_keys_of_now() -> None:
    text = README.read_text("utf-8")
    assert written(text) == text, "run: python -m tests.keys"


def test_every_key_has_an_id_and_a_tooltip() -> None:
    assert all(binding.id and binding.tooltip for binding in ALL)
    assert len({binding.id for binding in ALL}) == len(ALL)


def test_lowercase_looks_and_uppercase_changes() -> None:
    assert all(binding.key.isupper() for binding in CHANGE if isinstance(binding, Binding))
    assert not [b for b in LOOK if isinstance(b, Binding) and len(b.key) == 1 and b.key.isupper()]


def test_a_remapped_key_that_does_not_exist_is_named() -> None:
    check_keys({"node.drain": "ctrl+e"}, Path("config.toml"))
    with pytest.raises(UsageError, match=r"config.toml, keys\.node\.dran.*Did you mean .node\.drain"):
        check_keys({"node.dran": "x"}, Path("config.toml"))


def test_the_keys_of_the_start_page_and_of_what_is_read_may_be_remapped_and_those_of_a_plan_stay() -> None:
    check_keys({"clusters.open": "ctrl+e", "clusters.3": "f3", "app.quit": "ctrl+x", "reading.back": "b"}, Path("c"))
    for name in ("confirm.yes", "run.stop", "ask.leave"):
        with pytest.raises(UsageError, match=f"keys.{name}: the keys of questions, plans and runs cannot be remapped"):
            check_keys({name: "x"}, Path("c"))
