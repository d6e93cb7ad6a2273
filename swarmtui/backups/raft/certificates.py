"""A node's certificate, its CA, and whether a real dockerd would take them: swarmkit's own checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from swarmtui.backups.raft.contents import Problem
from swarmtui.backups.raft.damage import problem
from swarmtui.model.text import one_line

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate, Name, ObjectIdentifier

NODE, ROOT = "certificates/swarm-node.crt", "certificates/swarm-root-ca.crt"
_ROLES = {"swarm-manager": "manager", "swarm-worker": "worker"}
_LONGEST_CHAIN = 16
_FEW = 16
"""Bytes in which a damaged file differs; a signature alone has 70."""


class CertificateError(ValueError):
    """These bytes are no certificates."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a node is, by its certificate.

    Attributes:
        role: "manager" or "worker"; empty where the certificate says neither.
        not_before, not_after: unix seconds.
        chain: the node's own certificate, then the intermediates.
    """

    node_id: str
    role: str
    cluster_id: str
    not_before: float
    not_after: float
    chain: tuple[Certificate, ...] = field(repr=False)


def parse(pem: bytes) -> tuple[Certificate, ...]:
    """Reads the certificates of a file.

    Raises:
        CertificateError: there is none, or one is damaged.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import (
        DuplicateExtension,
        InvalidVersion,
        UnsupportedGeneralNameType,
        load_pem_x509_certificates,
    )

    try:
        found = tuple(load_pem_x509_certificates(pem))
        if len(found) > _LONGEST_CHAIN:
            raise CertificateError(f"it has {len(found)} certificates")
        for one in found:
            # These are parsed only when asked for; damage should be found here.
            _ = one.subject, one.issuer, one.not_valid_before_utc, one.not_valid_after_utc, one.public_key()
            _ = one.extensions
    except (
        ValueError,
        TypeError,
        OverflowError,
        UnsupportedAlgorithm,
        InvalidVersion,
        DuplicateExtension,
        UnsupportedGeneralNameType,
    ) as damage:
        raise CertificateError("it has no certificate that can be read") from damage
    return found


def identity(chain: Sequence[Certificate]) -> Identity:
    """Who a node's certificate says it is: CN is the node, OU the role, O the Swarm."""
    from cryptography.x509.oid import NameOID

    own = chain[0]
    return Identity(
        node_id=_first(own.subject, NameOID.COMMON_NAME),
        role=_ROLES.get(_first(own.subject, NameOID.ORGANIZATIONAL_UNIT_NAME), ""),
        cluster_id=_first(own.subject, NameOID.ORGANIZATION_NAME),
        not_before=own.not_valid_before_utc.timestamp(),
        not_after=own.not_valid_after_utc.timestamp(),
        chain=tuple(chain),
    )


def judge(who: Identity, roots: Sequence[Certificate], now: float) -> list[Problem]:
    """Whether a real dockerd would take a certificate with these roots at that time."""
    found: list[Problem] = []
    signed = all(_signed(one, by) for one, by in pairwise(who.chain))
    root = next((root for root in roots if _leads_to(who.chain, root)), None) if signed else None
    if root is None:
        found.append(problem("chain"))
    elif root.not_valid_after_utc.timestamp() < now:
        found.append(problem("root-expired", day=_day(root.not_valid_after_utc)))
    for one in who.chain:
        if now < one.not_valid_before_utc.timestamp():
            found.append(problem("cert-not-yet", day=_day(one.not_valid_before_utc)))
            break
        if now > one.not_valid_after_utc.timestamp():
            found.append(problem("cert-expired", day=_day(one.not_valid_after_utc)))
            break
    return found


def matches(key: PrivateKeyTypes, who: Identity) -> bool:
    """Whether a private key is that of the certificate."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    own = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return own == who.chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def nearly(pem: bytes, known: bytes, roots: Sequence[Certificate]) -> bool:
    """Whether a CA's file is the one that is known, damaged: some bytes are others, or it is written otherwise.

    Another CA, or a renewed one, differs in all of its signature. Go is stricter than OpenSSL with what is in between.
    """
    pem, known = pem.strip(), known.strip()
    if len(pem) == len(known) and sum(one != other for one, other in zip(pem, known, strict=True)) <= _FEW:
        return True
    try:
        return list(roots) == list(parse(known))
    except CertificateError:
        return False


def _leads_to(chain: Sequence[Certificate], root: Certificate) -> bool:
    return any(one == root or _signed(one, root) for one in chain)


def _signed(one: Certificate, by: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _first(name: Name, oid: ObjectIdentifier) -> str:
    values = [one.value for one in name.get_attributes_for_oid(oid)]
    return one_line(values[0]) if values and isinstance(values[0], str) else ""


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
