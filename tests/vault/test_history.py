"""The history of unlock keys: merging loses no key, in whatever order; at most one is current."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmtui.vault import Secret, VaultError, fingerprint
from swarmtui.vault.history import MOST_KEYS, History, Kept, bounded, encode, merge, parse, with_current, with_key

KEYS = st.sampled_from([f"key-{n}" for n in range(6)])
STATES = st.sampled_from(["current", "pending", "previous"])
TIMES = st.integers(0, 8)
KEPT = st.builds(Kept, KEYS, STATES, TIMES, TIMES, st.none() | st.integers(0, 5))
HISTORIES = st.builds(
    lambda keys, name: History(tuple(keys), name),
    st.lists(KEPT, unique_by=lambda kept: kept.key, max_size=6),
    st.sampled_from(["", "prod", "test"]),
)
CHANGES = st.lists(st.tuples(KEYS, STATES, TIMES), max_size=12)

CALM = settings(deadline=None, max_examples=80)
"""Two cores are shared by all tests."""


def keys_of(history: History) -> set[str]:
    return {kept.key for kept in history.keys}


@CALM
@given(HISTORIES, HISTORIES, HISTORIES)
def test_merging_is_the_same_in_any_order(a: History, b: History, c: History) -> None:
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(merge(a, b), b) == merge(a, b)


@CALM
@given(HISTORIES, HISTORIES)
def test_merging_loses_no_key_and_leaves_one_current_at_most(a: History, b: History) -> None:
    both = merge(a, b)
    assert keys_of(both) == keys_of(a) | keys_of(b)
    states = [key.state for key in both.shown()]
    assert states.count("current") == any(kept.state == "current" for kept in both.keys)


@CALM
@given(CHANGES, CHANGES)
def test_two_writers_that_did_not_see_each_other_still_have_every_key(one: list, other: list) -> None:
    histories = []
    for changes in (one, other):
        history = History()
        for key, state, at in changes:
            history = with_key(history, Secret(key), state, at)
        histories.append(history)
    assert keys_of(merge(*histories)) == {key for key, _, _ in (*one, *other)}


@CALM
@given(CHANGES, KEYS, TIMES)
def test_what_is_made_current_is_the_current_one_whatever_the_clock_says(changes: list, key: str, at: int) -> None:
    history = History()
    for other, state, when in changes:
        history = with_key(history, Secret(other), state, when)
    history = with_key(history, Secret(key), "current", at)
    assert [known.secret.reveal() for known in history.shown() if known.state == "current"] == [key]
    # And the store's own form says the same, without our reading of it.
    assert [kept.key for kept in history.keys if kept.state == "current"] == [key]


@CALM
@given(HISTORIES)
def test_what_is_kept_is_read_again(history: History) -> None:
    assert parse(encode(history), "x") == history


def test_a_rotation() -> None:
    history = with_key(History(), Secret("old"), "current", 100, kek_version=7, name="prod")
    history = with_key(history, Secret("new"), "pending", 200)
    assert [(k.secret.reveal(), k.state) for k in history.shown()] == [("new", "pending"), ("old", "current")]
    history = with_current(history, fingerprint(Secret("new")), "c1", 210)
    assert [(k.secret.reveal(), k.state, k.stored_at, k.kek_version) for k in history.shown()] == [
        ("new", "current", 200.0, None),
        ("old", "previous", 100.0, 7),
    ]
    assert history.name == "prod"
    with pytest.raises(VaultError, match=r"No unlock key 00000000 of cluster c1 is kept\. See what is kept"):
        with_current(history, "00000000", "c1", 220)


def test_it_is_bounded_and_neither_the_current_nor_a_pending_key_goes() -> None:
    history = with_key(History(), Secret("the current one"), "current", 0)
    history = with_key(history, Secret("pending"), "pending", 1)
    for n in range(40):
        history = with_key(history, Secret(f"previous {n}"), "previous", 10 + n)
    kept = [key.secret.reveal() for key in history.shown()]
    assert len(kept) == MOST_KEYS
    assert kept == [*(f"previous {39 - n}" for n in range(MOST_KEYS - 2)), "pending", "the current one"]
    assert bounded(history) is history


def test_a_full_history_fits_into_the_smallest_keyring() -> None:
    # Windows: 2,560 bytes of UTF-16 with a byte-order mark.
    history = History()
    for n in range(MOST_KEYS + 3):
        key = Secret(f"SWMKEY-1-{n:043}")
        history = with_key(history, key, "previous", 4_000_000_000 + n, kek_version=9_999_999, name="n" * 40)
    assert len(encode(history).encode("utf-16")) <= 2560


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("planted-secret", "the item in the keyring is damaged"),
        ('{"v":1}', "the item in the keyring is damaged"),
        ('{"v":1,"keys":[["planted-secret","odd",1,1,null]]}', "the item in the keyring is damaged"),
        ('["planted-secret"]', "the item in the keyring is damaged"),
        (json.dumps({"v": 2, "keys": "planted-secret"}), "they were written by a newer swarmtui"),
    ],
)
def test_what_cannot_be_read_is_said_without_telling_it(text: str, why: str) -> None:
    with pytest.raises(VaultError) as caught:
        parse(text, "c1")
    assert caught.value.what == f"The kept unlock keys of cluster c1 cannot be read: {why}."
    assert caught.value.__cause__ is None
    assert "planted" not in str(caught.value)


def test_the_kept_form_does_not_show_itself_either() -> None:
    history = with_key(History(), Secret("planted"), "current", 1)
    assert "planted" not in repr(history)
