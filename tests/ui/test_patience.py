"""Patterns that people type: every search ends, and one that would not is taken away with a sentence."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmtui.errors import UsageError
from swarmtui.ui import patience
from swarmtui.ui.log_buffer import LogBuffer, compiled
from swarmtui.ui.patience import Patient, pattern_of
from tests.ui.log_app import line, shown
from tests.ui.test_console import opened

ENDLESS = [
    (r"(a+)+$", "a" * 40 + "b"),
    (r"(a|aa)+$", "a" * 80 + "b"),
    (r"(?:(?:a?){50}){50}b", "a" * 300),
    (r"(x+x+)+y", "x" * 60),
    (r".*a.*b.*c.*d", "ab" * 8_000),
    (r"(a*)*\1$", "a" * 60 + "b"),
    (r"(?i)(?:é+)+$", "é" * 40 + "b"),
    ("(a|a)" * 40 + "b", "a" * 60),
    ("a?" * 60 + "a" * 60, "a" * 64),  # 2^56 ways; of 40 and 60, a fast machine found the match in 50 ms
]
"""Each would take from hours to longer than the universe is old."""


@pytest.mark.parametrize(("pattern", "text"), ENDLESS)
def test_a_search_that_would_never_end_gives_up_and_says_so_once(pattern: str, text: str) -> None:
    told: list[str] = []
    patient = Patient(re.compile(pattern), lambda: told.append(pattern))
    assert patient.search(text) is None and patient.tired
    assert patient.search("aaabcd xxxxy") is None and list(patient.finditer("a")) == [] and told == [pattern]
    other = Patient(re.compile(pattern), lambda: told.append("again"))
    assert list(other.finditer(text)) == [] and told == [pattern, "again"]


def test_what_a_later_python_may_read_differently_is_read_without_a_word() -> None:
    assert pattern_of("[[a]").search("a")  # warnings are errors here
    with pytest.raises(UsageError, match=r'"a\(" is no regular expression'):
        pattern_of("a(")


def test_many_searches_that_are_slow_together_give_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SLOW_SECONDS", 0.0)  # every search is slow
    monkeypatch.setattr(patience, "WINDOW_SECONDS", 1e-9)
    told: list[str] = []
    patient = Patient(re.compile("a+b"), lambda: told.append("slow"))
    patient.search("aaaa")
    assert told == ["slow"] and patient.search("ab") is None


@given(st.text("ab.*+?|()[]{}^$\\d1 ", max_size=12), st.lists(st.text("ab1 .", max_size=30), max_size=5))
def test_what_is_found_is_what_re_finds(pattern: str, texts: list[str]) -> None:
    try:
        plain = pattern_of(pattern)
    except UsageError:
        return
    patient = Patient(plain, lambda: None)
    for text in texts:
        match, found = plain.search(text), patient.search(text)
        if patient.tired:
            return
        assert (found and found.span()) == (match and match.span())
        assert [m.span() for m in patient.finditer(text)] == [m.span() for m in plain.finditer(text)]


def test_elsewhere_than_in_the_main_thread_a_search_is_a_search() -> None:
    found: list[object] = []
    patient = Patient(re.compile("a+"), lambda: None)
    thread = threading.Thread(target=lambda: found.append(patient.search("baa")))
    thread.start()
    thread.join()
    assert isinstance(found[0], re.Match)


def test_a_filter_of_a_log_is_done_with_such_a_pattern() -> None:
    buffer, told = LogBuffer(), []
    buffer.add([line("a" * 40 + "b", number) for number in range(2_000)])
    buffer.set_filter(Patient(compiled("(a+)+$"), lambda: told.append("slow")))
    while not buffer.work():
        pass
    assert told == ["slow"] and buffer.count == 0


@pytest.mark.parametrize("key", ["/", "&"])
async def test_a_log_takes_the_pattern_away_and_goes_on(key: str) -> None:
    async with shown() as person:
        person.give(*(line("a" * 40 + "b", number) for number in range(50)), line("here"))
        await person.sees("here")
        await person.type(key + "(a+)+")
        await person.press("dollar_sign", "enter")
        await person.until(lambda: any('"(a+)+$" takes too long' in told for told in person.app.told), "told")
        assert "(a+)+" not in person.status and "only" not in person.status
        await person.type("/here")
        await person.press("enter")
        await person.sees("/here")


async def test_a_filter_of_a_table_is_taken_away_and_the_table_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, console):
        await console.nodes().press("slash").type(r"(\S+\s*)+~").told("takes too long on what is here")
        await console.here().press("enter").contains("mgr1", "wrk1").press("slash").press("ctrl+u").type("wrk1")
        await console.here().press("enter").title("Nodes (1 of 8, filter: wrk1)")
