"""A node's certificate signed anew with the CA key of a real raft log. That real managers take it: tests/actions."""

from __future__ import annotations

import traceback
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from swarmtui.backups.errors import RaftError
from swarmtui.backups.raft import certificates
from swarmtui.backups.raft.authority import Authority, authority
from swarmtui.backups.raft.certificates import NODE, ROOT
from swarmtui.vault.secret import Secret
from tests.backups.generations import DictFiles, Generation, generations

ALL = [one for engine in ("20.10", "26.1") for one in generations(engine).values()]
LATER = 1000 * 86_400.0
"""Seconds after it was taken: every node's certificate has expired."""


def ca(one: Generation) -> Authority:
    return authority(DictFiles(one.files), [Secret(one.key)] if one.key else (), now=one.taken_at)


@pytest.mark.parametrize("one", ALL, ids=[one.name for one in ALL])
def test_the_same_node_and_key_valid_anew(one: Generation) -> None:
    (old,) = x509.load_pem_x509_certificates(one.files[NODE])
    (root,) = x509.load_pem_x509_certificates(one.files[ROOT])
    now = one.taken_at + LATER
    before = certificates.judge(certificates.identity([old]), [root], now)
    assert [trouble.id for trouble in before] == ["cert-expired"]
    signer = ca(one)
    assert signer.certificate == root
    pem = signer.renewed(one.files[NODE], now)
    (new,) = x509.load_pem_x509_certificates(pem)
    assert certificates.judge(certificates.identity([new]), [root], now) == []
    assert (new.subject, new.issuer) == (old.subject, old.issuer)
    assert new.public_key() == old.public_key() and new.serial_number != old.serial_number
    assert {each.oid: each.value for each in new.extensions} == {each.oid: each.value for each in old.extensions}
    assert new.not_valid_after_utc - new.not_valid_before_utc == timedelta(days=90, hours=1)


def test_what_it_cannot_sign() -> None:
    one, other = ALL[0], next(each for each in ALL if each.inventory.cluster_id != ALL[0].inventory.cluster_id)
    with pytest.raises(RaftError, match="of no node of Swarm"):
        ca(one).renewed(other.files[NODE])
    with pytest.raises(RaftError, match="no certificate of a node"):
        ca(one).renewed(b"nothing")
    locked = next(each for each in ALL if each.key)
    with pytest.raises(RaftError, match="cannot be read"):
        authority(DictFiles(locked.files))
    with pytest.raises(RaftError, match="The Swarm's CA itself has expired"):
        authority(DictFiles(one.files), [Secret(one.key)] if one.key else (), now=one.taken_at + 20 * LATER)


def test_its_key_is_in_no_text() -> None:
    signer = ca(ALL[0])
    key = signer._key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    told = repr(signer) + str(signer)
    try:
        signer.renewed(b"nothing")
    except RaftError:
        told += traceback.format_exc()
    assert not any(line in told for line in key.splitlines()[1:-1])
