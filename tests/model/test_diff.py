"""The keyed difference of two states, checked against a plain re-statement and on cases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmtui.model.diff import diff, reuse

# Values that are equal without being the same object, as decoded answers are.
values = st.tuples(st.integers(0, 2), st.sampled_from(["a", "b"])).map(lambda pair: [*pair])
states = st.dictionaries(st.sampled_from("abcdef"), values)


@given(states, states)
def test_a_difference_turns_the_old_state_into_the_new(
    old: dict[str, list[object]], new: dict[str, list[object]]
) -> None:
    changes = diff(old, new)
    built = {key: value for key, value in old.items() if key not in changes.removed}
    assert built | changes.updated | changes.added == new
    assert changes.added.keys() == new.keys() - old.keys()
    assert changes.removed == old.keys() - new.keys()
    assert all(key in old and old[key] != new[key] for key in changes.updated)
    assert bool(changes) is (old != new)


@given(states, states)
def test_reuse_keeps_every_equal_object_and_the_whole_where_nothing_changed(
    old: dict[str, list[object]], new: dict[str, list[object]]
) -> None:
    merged = reuse(old, new)
    assert merged == new
    assert all((merged[key] is old[key]) is (old[key] == new[key]) for key in old.keys() & new.keys())
    assert (merged is old) is (old == new)


def test_a_swap_of_one_key_for_another_is_seen() -> None:
    changes = diff({"a": 1, "b": 2}, {"a": 1, "c": 2})
    assert (changes.added, changes.updated, changes.removed) == ({"c": 2}, {}, frozenset({"b"}))
