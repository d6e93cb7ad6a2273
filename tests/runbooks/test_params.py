"""What a person may write as parameters, and what is said about what they may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swarmtui.errors import UsageError
from swarmtui.runbooks import params, registry
from swarmtui.runbooks.params import Param, parse

DECLARED = (
    Param("node", "the nodes", params.names, "NAME[,NAME…]", required=True),
    Param("wait", "seconds", params.seconds, "SECONDS", default=600),
    Param("force", "anyway", params.yes_or_no, "true|false", default=False),
    Param("image", "which", params.text, "IMAGE"),
)


def test_defaults_fill_in_and_what_has_none_is_left_out() -> None:
    assert parse("x", DECLARED, {"node": "a, b,a"}) == {"node": ("a", "b"), "wait": 600, "force": False}


def test_all_that_is_given_is_converted() -> None:
    given = {"node": "a", "wait": "5", "force": "Yes", "image": " shop:2 "}
    assert parse("x", DECLARED, given) == {"node": ("a",), "wait": 5, "force": True, "image": "shop:2"}


def test_an_unknown_name_gets_a_suggestion_and_all_that_is_known() -> None:
    with pytest.raises(UsageError) as caught:
        parse("node.drain", DECLARED, {"node": "a", "wiat": "5"})
    said = str(caught.value)
    assert 'node.drain has no parameter "wiat"' in said and 'Did you mean "wait"?' in said and "node=NAME" in said


def test_something_far_off_gets_no_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        parse("node.drain", DECLARED, {"node": "a", "colour": "5"})
    assert "Did you mean" not in str(caught.value) and "wait=SECONDS" in str(caught.value)


def test_a_missing_one_is_named_with_its_shape_and_meaning() -> None:
    with pytest.raises(UsageError, match=r"x needs node=\. Write node=NAME\[,NAME…\]: the nodes"):
        parse("x", DECLARED, {})


def test_a_runbook_without_parameters_says_none() -> None:
    with pytest.raises(UsageError, match="It takes: none"):
        parse("x", (), {"node": "a"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("node", ""),
        ("node", " "),
        ("node", "a,,b"),
        ("node", "a,"),
        ("node", "a\x1b[31m"),
        ("node", "a\nb"),
        ("node", "a\u202eb"),
        ("wait", "0"),
        ("wait", "-1"),
        ("wait", "86401"),
        ("wait", "1.5"),
        ("wait", "60s"),
        ("wait", "²"),
        ("wait", "٣"),
        ("wait", ""),
        ("wait", "9" * 5000),
        ("force", "maybe"),
        ("force", ""),
        ("force", "2"),
        ("image", ""),
    ],
)
def test_wrong_values_are_told_with_the_shape_and_without_their_control_characters(name: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse("x", DECLARED, {"node": "a", name: text})
    said = str(caught.value)
    assert f"x: {name}=" in said and f"Write {name}=" in said
    assert said.isprintable()


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("600", 600), ("86400", 86_400), ("007", 7)])
def test_seconds(text: str, seconds: int) -> None:
    assert params.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("YES", True),
        ("on", True),
        ("1", True),
        ("false", False),
        ("No", False),
        ("off", False),
        ("0", False),
    ],
)
def test_yes_or_no(text: str, value: bool) -> None:
    assert params.yes_or_no(text) is value


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("zone=a", (("zone", "a"),)),
        ("zone-", (("zone", None),)),
        ("zone=", (("zone", ""),)),
        ("zone=a,old-,rack=7", (("zone", "a"), ("old", None), ("rack", "7"))),
        ("com.example/x=y=z", (("com.example/x", "y=z"),)),
        ("a=$(reboot)", (("a", "$(reboot)"),)),
        ("a=two words", (("a", "two words"),)),
        ("dash-=x", (("dash-", "x"),)),
        ("dash--", (("dash-", None),)),
    ],
)
def test_labels(text: str, changes: tuple[tuple[str, str | None], ...]) -> None:
    assert params.labels(text) == changes


@pytest.mark.parametrize(
    "text", ["", "zone", "=x", "-", "a b=c", "zone=a,zone=b", "zone=a,zone-", "a=b,", "a=x\ny", "a=\x00"]
)
def test_wrong_labels(text: str) -> None:
    with pytest.raises(ValueError):
        params.labels(text)


def test_every_runbook_is_listed_under_its_own_name() -> None:
    names = ["drain", "activate", "pause", "promote", "demote", "remove", "label"]
    assert {f"node.{name}" for name in names} <= registry.RUNBOOKS.keys()
    assert all(registry.runbook(name).name == name for name in registry.RUNBOOKS)


@pytest.mark.parametrize(("typed", "meant"), [("node.drian", "node.drain"), ("node-remove", "node.remove")])
def test_an_unknown_runbook_gets_a_suggestion(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f'Did you mean "{meant}"'):
        registry.runbook(typed)
    with pytest.raises(UsageError, match="run --list"):
        registry.runbook("zzz")


@pytest.mark.parametrize("name", sorted(registry.RUNBOOKS))
def test_declarations_are_whole(name: str) -> None:
    runbook = registry.runbook(name)
    assert runbook.summary and runbook.version >= 1
    names = [param.name for param in runbook.params]
    assert len(names) == len(set(names))
    kinds: list[Callable[[str], Any]] = [param.kind for param in runbook.params]
    assert all(param.help and param.shape and callable(kind) for param, kind in zip(runbook.params, kinds, strict=True))
