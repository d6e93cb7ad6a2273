"""The key file in clear, made offline. That a real dockerd starts with it: test_on_lab.py."""

from __future__ import annotations

import re
import traceback

import pytest

from swarmtui.backups.errors import RaftError
from swarmtui.backups.raft.keyfile import KeyFileError, open_, parse
from swarmtui.backups.raft.sealed import kek
from swarmtui.backups.raft.unlock import unlocked_key
from swarmtui.vault.secret import Secret
from tests.backups.raft import build
from tests.backups.raft.real import ids, look, real
from tests.backups.raft.test_damage import KEY, LOCKED, OTHER, clear, dek, locked

RIGHT = Secret(real(LOCKED).key)


def test_everything_is_in_clear_and_the_same() -> None:
    pem = locked()[KEY]
    clear_pem = unlocked_key(pem, RIGHT)
    was, now = open_(parse(pem), kek(RIGHT)), open_(parse(clear_pem), None)
    assert now.deks == was.deks
    assert now.key.private_numbers() == was.key.private_numbers()  # type: ignore[union-attr]
    assert parse(clear_pem).headers["kek-version"] == "0"
    assert clear_pem.startswith(b"-----BEGIN PRIVATE KEY-----\nkek-version: 0\nraft-dek: ")
    assert max(map(len, clear_pem.splitlines())) <= 64
    found = look(locked() | {KEY: clear_pem})
    assert ids(found) == ["not-locked"]
    assert found.inventory == look(locked(), [RIGHT]).inventory


def test_what_stands_in_the_headers_beside_stays() -> None:
    """A change of raft's key that was under way goes on afterwards."""
    files, secret = clear(), kek(OTHER)
    deks = {"raft-dek": dek(files), "raft-dek-pending": b"p" * 32}
    pem = build.key_file(build.private_key(files[KEY]), deks, secret, 9)
    pem = pem.replace(b"kek-version: 9\n", b"kek-version: 9\nraft-dek-needs-rotation: true\n")
    found = parse(unlocked_key(pem, OTHER))
    assert (found.locked, found.headers["raft-dek-needs-rotation"]) == (False, "true")
    assert open_(found, None).deks == deks


def test_a_fips_key_file() -> None:
    files, secret = clear(), kek(OTHER)
    assert secret is not None
    pem = build.key_file(build.private_key(files[KEY]), {"raft-dek": dek(files)}, secret)
    sealed = build.base64.b64encode(build.seal_fips(secret, dek(files)))
    found = open_(parse(unlocked_key(re.sub(rb"raft-dek: \S+", b"raft-dek: " + sealed, pem), OTHER)), None)
    assert found.deks == {"raft-dek": dek(files)}


def test_one_in_clear_stays_as_it_is() -> None:
    for name in ("everything-20.10", "worker-20.10"):
        assert unlocked_key(real(name).files[KEY], RIGHT) == real(name).files[KEY]


@pytest.mark.parametrize(
    "key, said",
    [
        (OTHER, "does not open the key file"),
        (Secret("SWMKEY-1-"), "no unlock key"),
        (Secret("SWMKEY-1-" + "A" * 42), "no unlock key"),
        (Secret("SWMKEY-1-" + "Ä" * 43), "no unlock key"),
        (Secret(real(LOCKED).key[:-1]), "no unlock key"),
        (Secret(real(LOCKED).key.removeprefix("SWMKEY-1-")), "no unlock key"),
    ],
)
def test_a_wrong_key_is_refused_and_not_repeated(key: Secret, said: str) -> None:
    with pytest.raises(RaftError, match=said) as refused:
        unlocked_key(locked()[KEY], key)
    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value.__dict__)
    assert key.reveal() not in told.replace("SWMKEY-1-;", "") or key.reveal() == "SWMKEY-1-"
    assert refused.value.next_step


def test_what_is_no_key_file_is_refused() -> None:
    for pem in (b"", b"\0" * 999, locked()["certificates/swarm-node.crt"], locked()[KEY][:250]):
        with pytest.raises(RaftError, match="no key file"):
            unlocked_key(pem, RIGHT)


def test_blanks_around_a_key_that_was_pasted_are_nothing() -> None:
    assert unlocked_key(locked()[KEY], Secret(f"  {RIGHT.reveal()}\n")) == unlocked_key(locked()[KEY], RIGHT)


def test_a_worker_has_no_raft_key() -> None:
    file = parse(real("worker-20.10").files[KEY])
    assert not file.of_manager
    assert open_(file, None).deks == {}
    with pytest.raises(KeyFileError):
        open_(parse(locked()[KEY]), None)
