"""A secret does not show itself."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from dataclasses import asdict

import msgspec
import pytest

from swarmtui import config
from swarmtui.vault import Kind, Secret, UnlockKey, fingerprint

PLANTED = "planted-5c1f0e"


def test_it_is_shown_nowhere_but_on_request(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(PLANTED)
    key = UnlockKey(secret, 1.0, "current", None, fingerprint(secret))
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        repr(key),
        str([secret]),
    ]
    logging.getLogger("vault").warning("took %s of %r", secret, key)
    try:
        raise ValueError(secret, key)
    except ValueError as error:
        shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    shown.append(repr(asdict(key)))
    assert not [text for text in (*shown, caplog.text) if PLANTED in text]
    assert "Secret(hidden)" in caplog.text
    assert secret.reveal() == PLANTED


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(PLANTED), protocol)


def test_it_does_not_get_into_json_or_a_state() -> None:
    secret = Secret(PLANTED)
    with pytest.raises(TypeError):
        json.dumps({"key": secret})
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
    with pytest.raises(TypeError):
        secret.__getstate__()
    assert not hasattr(secret, "__dict__")
    assert copy.deepcopy(secret) is secret is copy.copy(secret)


def test_equal_secrets_are_equal_and_nothing_else_is() -> None:
    assert Secret("ä") == Secret("ä")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    with pytest.raises(ValueError, match="empty"):
        Secret("")


def test_a_fingerprint_is_what_was_agreed_on() -> None:
    # printf 'swarmtui unlock key\0SWMKEY-1-x' | sha256sum
    assert fingerprint(Secret("SWMKEY-1-x")) == "abe7a6d9"


def test_the_configuration_knows_the_same_kinds() -> None:
    assert set(Kind) == set(config.SECRET_KINDS)
