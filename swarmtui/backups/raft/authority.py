"""The Swarm's own CA, out of the raft log: it signs a node's certificate anew when no manager is left to do it.

A certificate that has expired is renewed by a leader; where all have expired, nobody can be one. The key that signed
them lies in the raft log of every manager (swarm-dr.md §1), unless it was given as an external CA.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from swarmtui.backups.errors import RaftError
from swarmtui.backups.files import SwarmFiles
from swarmtui.backups.raft import certificates
from swarmtui.backups.raft.messages import CA_KEY
from swarmtui.backups.raft.reading import read_with_store
from swarmtui.backups.raft.wire import WireError, decode
from swarmtui.vault.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
    from cryptography.x509 import Certificate

DAYS = 90
"""For how long a node's certificate is valid, where the Swarm says nothing else."""
LEAST = timedelta(hours=1)
"""Swarm takes nothing shorter (swarmkit, ca/certificates.go, MinNodeCertExpiration)."""
BACK = timedelta(hours=1)
"""Since when before now: clocks differ. swarmkit does the same (ca/certificates.go)."""
BY_HAND = "Sign it with your own CA (same subject, same public key), or force a new cluster: swarm.recover-quorum."


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA that can sign.

    Attributes:
        certificate: its own.
        cluster_id: of which Swarm.
        valid: for how long what it signs is valid.
    """

    certificate: Certificate
    cluster_id: str
    valid: timedelta
    _key: CertificateIssuerPrivateKeyTypes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate, in hex."""
        from cryptography.hazmat.primitives.hashes import SHA256

        return self.certificate.fingerprint(SHA256()).hex()

    def renewed(self, pem: bytes, now: float | None = None) -> bytes:
        """A node's certificate, valid anew: the same node, the same public key, the same extensions. PEM.

        Args:
            pem: the one that it has.
            now: unix seconds; the present by default.

        Raises:
            RaftError: it is no certificate of a node of this Swarm.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import Encoding

        try:
            old = certificates.parse(pem)[0]
        except certificates.CertificateError as damage:
            raise RaftError(f"This is no certificate of a node: {damage}.", "Take another manager.") from None
        who = certificates.identity([old])
        if who.cluster_id != self.cluster_id or not who.role:
            raise RaftError(
                f"This certificate is of no node of Swarm {self.cluster_id[:12]}.", "Is it that node's? Look at it."
            )
        at = datetime.fromtimestamp(time.time() if now is None else now, UTC)
        own = self.certificate
        made = (
            x509.CertificateBuilder()
            .subject_name(old.subject)
            .issuer_name(own.subject)
            .public_key(old.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(at - BACK, own.not_valid_before_utc))
            .not_valid_after(min(at + self.valid, own.not_valid_after_utc))
        )
        for extension in old.extensions:
            if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
                made = made.add_extension(extension.value, extension.critical)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = made.add_extension(issuer, critical=False)
        return made.sign(self._key, SHA256()).public_bytes(Encoding.PEM)


def authority(files: SwarmFiles, keys: Sequence[Secret] = (), *, now: float | None = None) -> Authority:
    """The CA of the Swarm whose directory it is, with its key.

    Args:
        keys: unlock keys to try, where the directory is locked.
        now: unix seconds; the present by default.

    Raises:
        RaftError: it cannot be read, or it cannot sign: its key is elsewhere, it has expired itself, or it is being
            rotated.
    """
    contents, store = read_with_store(files, keys, now=now)
    if not contents.opened:
        why = next((one.what for one in contents.problems if one.fatal or one.id == "locked"), "It is damaged.")
        raise RaftError(
            f"The Swarm's CA cannot be read. {why}",
            "Give its unlock key to the vault: swarmtui secrets set unlock-key CLUSTER_ID"
            if contents.locked
            else "Take another manager.",
        )
    raw = store.objects["cluster"].get(contents.cluster_id.encode())
    if raw is None:
        raise RaftError("The raft log says nothing of this Swarm's CA.", "Take another manager.")
    try:
        told = decode(raw, CA_KEY)
    except WireError:
        # Without the cause: an error's chain is printed, and the bytes are the key.
        raise RaftError("The Swarm's CA cannot be read from the raft log.", "Take another manager.") from None
    root = told.get("root", {})
    if "rotation" in root:
        raise RaftError("The Swarm's CA was being rotated, so its certificates have two signers.", BY_HAND)
    valid = timedelta(microseconds=told.get("spec", {}).get("ca", {}).get("expiry", 0) // 1000)
    return _able(root, contents.cluster_id, valid if valid >= LEAST else timedelta(days=DAYS), now)


def _able(root: dict[str, bytes], cluster_id: str, valid: timedelta, now: float | None) -> Authority:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    if not root.get("key"):
        raise RaftError("The key of the Swarm's CA is not in its raft log: it has an external CA.", BY_HAND)
    try:
        chain = certificates.parse(root.get("certificate", b""))
        key = load_pem_private_key(root["key"], None)
    except (certificates.CertificateError, ValueError, TypeError, UnsupportedAlgorithm):
        raise RaftError("The Swarm's CA in the raft log cannot be used.", BY_HAND) from None
    der, form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    own = key.public_key().public_bytes(der, form)
    found = next((one for one in chain if one.public_key().public_bytes(der, form) == own), None)
    if found is None:
        raise RaftError("The key of the Swarm's CA in the raft log is not that of its certificate.", BY_HAND)
    if found.not_valid_after_utc.timestamp() < (time.time() if now is None else now):
        raise RaftError(f"The Swarm's CA itself has expired ({found.not_valid_after_utc:%Y-%m-%d}).", BY_HAND)
    return Authority(found, cluster_id, valid, key)  # type: ignore[arg-type]
