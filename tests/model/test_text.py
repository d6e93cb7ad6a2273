"""Strings from a cluster cannot reach the terminal with anything but text in them."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swarmtui.model.text import REPLACEMENT, first_few, harmless, harmless_json, listed, one_line

# Unicode's own property Bidi_Control, and what has no width at all. Written by hand from the standard.
BIDI_CONTROL = "\u061c\u200e\u200f" + "\u202a\u202b\u202c\u202d\u202e" + "\u2066\u2067\u2068\u2069"
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


def hostile(text: str) -> list[str]:
    """What in a text may move the cursor, change colours, reorder or hide text, or cannot be encoded."""
    return [
        c
        for c in text
        if (unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") and c not in "\t\n")
        or c in BIDI_CONTROL
        or c in INVISIBLE
    ]


def texts_of(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in (key, *texts_of(inner))]
    return [text for inner in value for text in texts_of(inner)] if isinstance(value, list) else []


nasty = st.text(
    st.one_of(
        st.sampled_from('\x00\x07\x1b\x7f\x85\x9b\r\n\t\u202e\u200b\ufeff\\"/bfnrtu0189aA[m]'),
        st.characters(codec="utf-8"),
    )
)
documents = st.recursive(
    nasty | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(nasty, inner), max_leaves=8
)

PLANTED = [
    "\x1b[31mred",
    "\x1b]52;c;aGk=\x07",
    "\x9b2J",
    "a\x00b",
    "del\x7f",
    "over\u202ewritten",
    "\u061cmark",
    "zero\u200bwidth",
    "line\u2028break",
    "\ufeffbom",
    "back\bspace",
    "form\ffeed",
]


@pytest.mark.parametrize("text", PLANTED)
def test_the_check_itself_catches_planted_cases(text: str) -> None:
    assert hostile(text)


@pytest.mark.parametrize("text", PLANTED)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_planted_cases_are_disarmed_visibly(text: str, ascii_only: bool) -> None:
    body = json.dumps({"Labels": {text: text}}, ensure_ascii=ascii_only).encode()
    ((key, value),) = json.loads(harmless_json(body))["Labels"].items()
    assert key == value == harmless(text)
    assert not hostile(value)
    assert REPLACEMENT in value and len(value) == len(text)


@given(documents, st.booleans())
@example("\\u001b", True)
@example("\\\\u001b\x1b", True)
@example("\\\\\\", False)
def test_no_hostile_character_survives_in_any_string_of_a_document(document: object, ascii_only: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    cleaned = json.loads(harmless_json(body))
    assert not hostile("".join(texts_of(cleaned)))


@given(documents, st.booleans())
def test_what_is_harmless_comes_through_unchanged(document: object, ascii_only: bool) -> None:
    before = json.dumps(document, ensure_ascii=ascii_only)
    if any(hostile(text) for text in texts_of(document)):
        return
    assert json.loads(harmless_json(before.encode())) == document


@pytest.mark.parametrize(
    "text",
    ["größe", "日本語", "שלום", "naïve [bold]markup[/]", "tab\tand\nline", "emoji 🐳", "\\u001b[31m", 'q"uote\\'],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_ordinary_text_of_the_world_is_left_alone(text: str, ascii_only: bool) -> None:
    body = json.dumps([text], ensure_ascii=ascii_only).encode()
    assert harmless_json(body) == body
    assert harmless(text) == text


@pytest.mark.parametrize("escape", [r"\u001B", r"\u001b", r"\u009B", r"\u202E", r"\uFEFF", r"\b", r"\f", r"\u0000"])
def test_every_spelling_of_an_escape_is_found(escape: str) -> None:
    assert json.loads(harmless_json(f'["a{escape}b"]'.encode())) == [f"a{REPLACEMENT}b"]


@pytest.mark.parametrize("written", [r"\\u001b", r"\\\\u202e", r"\\b", r"\\r\\n"])
def test_an_escaped_backslash_is_a_backslash_and_no_escape_follows_it(written: str) -> None:
    body = f'["{written}"]'.encode()
    assert harmless_json(body) == body


def test_a_backslash_before_a_real_escape_does_not_hide_it() -> None:
    assert json.loads(harmless_json(rb'["\\\u001b"]')) == ["\\" + REPLACEMENT]


def test_line_ends_of_windows_become_plain_ones() -> None:
    assert json.loads(harmless_json(rb'["one\r\ntwo"]')) == ["one\ntwo"]


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDFFF", r"x\udc00y", r"\ud83dx"])
def test_half_a_surrogate_pair_is_replaced(escape: str) -> None:
    """Such a string cannot be written to any terminal, and the typed decoder refuses the whole answer for it."""
    assert not hostile(json.loads(harmless_json(f'["{escape}"]'.encode()))[0])


def test_a_whole_surrogate_pair_is_an_ordinary_character() -> None:
    assert json.loads(harmless_json(rb'["\ud83d\udc33"]')) == ["🐳"]


@given(nasty)
def test_harmless_replaces_one_for_one(text: str) -> None:
    cleaned = harmless(text)
    assert not hostile(cleaned)
    assert [c for c in cleaned if c != REPLACEMENT] == [c for c in text if not hostile(c) and c != REPLACEMENT]
    assert len(cleaned) == len(text)


@given(nasty)
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text)
    assert not hostile(line)
    assert len(line.splitlines()) <= 1 and "\t" not in line


def test_one_line_keeps_the_words_apart() -> None:
    assert one_line("  failed:\n\tno such\nimage ") == "failed: no such image"


def test_of_many_the_first_are_told_and_how_many_more_there_are() -> None:
    assert listed([]) == "" and listed(["a"]) == "a" and listed(["a", "b\nc"], 2) == "a, b c"
    assert listed(list("abcdefg"), 3) == "a, b, c and 4 more"
    assert first_few(["It is down."]) == "It is down."
    assert first_few(["One.", "Two.", "Three."], 2) == "One. Two. And 1 more."
    assert first_few(["One.", "Two.", "Three."], 1, "hosts") == "One. And 2 more hosts."
