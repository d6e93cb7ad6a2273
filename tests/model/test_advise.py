"""Advice on managers, against tables written by hand from procedures.md B6."""

from __future__ import annotations

import pytest

from swarmtui.model.advise import on_count, on_latency, on_zones, spread_of
from swarmtui.model.preflight import Reach

SPREAD = {
    1: (1, 0, 0),
    2: (1, 1, 0),
    3: (1, 1, 1),
    4: (2, 1, 1),
    5: (2, 2, 1),
    6: (2, 2, 2),
    7: (3, 2, 2),
    9: (3, 3, 3),
}
"""How many managers each of three zones should have."""
WARNED = {1: True, 2: True, 3: False, 4: True, 5: False, 6: True, 7: False, 8: True, 9: True}
"""Whether so many managers are advised against: odd, 3 to 7."""
SURVIVES = {3: "the loss of one", 4: "the loss of one", 5: "2 losses", 6: "2 losses", 7: "3 losses", 8: "3 losses"}


@pytest.mark.parametrize(("managers", "zones"), SPREAD.items())
def test_spread(managers: int, zones: tuple[int, ...]) -> None:
    assert spread_of(managers) == zones


@pytest.mark.parametrize(("managers", "warned"), WARNED.items())
def test_count(managers: int, warned: bool) -> None:
    advice = list(on_count(managers))
    assert any(one.warning for one in advice) == warned
    told = " ".join(one.text for one in advice)
    assert SURVIVES.get(managers, "") in told
    assert ("more than 7" in told) == (managers > 7)


def test_one_is_better_than_two() -> None:
    assert "worse than one" in " ".join(one.text for one in on_count(2))


ZONES = [
    # zones of the managers, whether to warn, words
    ("abc", False, "spread 1-1-1 over 3 zones"),
    ("aab", True, "2 of 3 managers are in zone a"),
    ("aaa", True, "3 of 3 managers are in zone a"),
    ("aabbc", False, "spread 2-2-1 over 3 zones"),
    ("aaabc", True, "3 of 5 managers are in zone a"),
    ("abcde", False, "spread 1-1-1-1-1 over 5 zones"),
    ("aaabbcc", False, "spread 3-2-2 over 3 zones"),
    ("aaaabbc", True, "Spread them 3-2-2"),
    ("aaabbbccc", False, "spread 3-3-3"),
    ("ab ", False, "Not every manager has a zone"),
    ("   ", False, "1-1-1"),
]


@pytest.mark.parametrize(("zones", "warned", "words"), ZONES)
def test_zones(zones: str, warned: bool, words: str) -> None:
    advice = list(on_zones([zone.strip() for zone in zones]))
    assert [one.warning for one in advice] == [warned]
    assert words in advice[0].text


def test_zones_of_less_than_three_managers_say_nothing() -> None:
    assert not list(on_zones(["a", "a"]))


def way(source: str, to: str, micros: int) -> Reach:
    return Reach(source, to, "10.0.0.1", "tcp", 2377, True, micros)


def test_latency_is_the_quickest_connection_between_managers() -> None:
    ways = [way("m1", "m2", 900), way("m2", "m1", 400), way("m1", "m3", 1500), way("w1", "m1", 90_000)]
    (advice,) = on_latency(["m1", "m2", "m3"], ways)
    assert not advice.warning
    assert advice.text == "To open a connection between managers takes m1–m3 1.5 ms, m1–m2 0.4 ms."


def test_managers_that_are_far_apart_are_warned_of() -> None:
    (advice,) = on_latency(["m1", "m2", "m3"], [way("m1", "m2", 400), way("m1", "m3", 82_000)])
    assert advice.warning
    assert advice.text.startswith("Far apart: m1–m3 82.0 ms.")


def test_nothing_measured_says_nothing() -> None:
    assert not list(on_latency(["m1", "m2"], [way("m1", "m2", 0)]))
