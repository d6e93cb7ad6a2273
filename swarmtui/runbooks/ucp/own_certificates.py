"""Certificates that an operator brings for UCP's web server: read here, and judged before they go anywhere (U1, U2).

UCP takes ca.pem, cert.pem and key.pem from the volume ucp-controller-server-certs (ucp-dtr.md §1.4). The key never
leaves this machine but through the pipe that puts it there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from swarmtui.errors import UsageError
from swarmtui.model.preflight import Finding, Level
from swarmtui.model.text import one_line
from swarmtui.model.ucp import facts
from swarmtui.runbooks.files import read_file, slow_digest
from swarmtui.runbooks.runbook import StepError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name

LARGEST: Final = 256 << 10
"""Bytes of one file."""
SOON_DAYS: Final = 30
DAY: Final = 86_400.0
BLOCKED: Final = "Mend the files in that folder, then try again: {product} does not start with them as they are."
EVERY: Final = "Every manager and the load balancer"


class OwnCertificates(msgspec.Struct, frozen=True, kw_only=True):
    """What the files are, without what is in the key.

    Attributes:
        folder: where they are here.
        names: host names and addresses of the certificate.
        begins, ends: unix seconds.
        fits: whether key.pem is the key of the certificate.
        signed: whether cert.pem, with what follows in it, leads to a certificate of ca.pem.
        gap: why it does not, a clause; "" where it does.
        itself: whether it is signed by nobody but itself.
        digest: a slow digest of the three files.
    """

    folder: str
    names: tuple[str, ...]
    issuer: str
    begins: float
    ends: float
    fits: bool
    signed: bool
    itself: bool
    digest: str
    gap: str = ""


def contents(folder: Path) -> dict[str, bytes]:
    """The three files. Raises UsageError where one cannot be read."""
    return {name: read_file(folder / name, LARGEST, "The certificate file") for name in facts.CERT_FILES}


async def as_planned(own: OwnCertificates) -> dict[str, bytes]:
    """The three files again, when they are used.

    Raises:
        UsageError: one cannot be read.
        StepError: they were changed since the plan was made.
    """
    found = await asyncio.to_thread(contents, Path(own.folder))
    if await asyncio.to_thread(slow_digest, *(found[name] for name in facts.CERT_FILES)) != own.digest:
        raise StepError(f"The certificates in {own.folder} were changed since the plan was made.", "Make a new plan.")
    return found


def read(folder: Path) -> OwnCertificates:
    """Reads them; blocks.

    Raises:
        UsageError: a file is not there, or is not what its name says; the key has a passphrase.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import ExtensionOID

    files = contents(folder)
    chain = _certificates(files["cert.pem"], folder / "cert.pem")
    roots = _certificates(files["ca.pem"], folder / "ca.pem")
    try:
        key = serialization.load_pem_private_key(files["key.pem"], None)
    except TypeError as error:
        raise UsageError(f"The key {folder / 'key.pem'} has a passphrase, and UCP cannot ask for it.", KEY) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{folder / 'key.pem'} is no private key in PEM.", KEY) from error
    leaf = chain[0]
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    names: list[str] = []
    try:
        held = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        assert isinstance(held, x509.SubjectAlternativeName)
        names += [one_line(name) for name in held.get_values_for_type(x509.DNSName)]
        names += [str(address) for address in held.get_values_for_type(x509.IPAddress)]
    except (x509.ExtensionNotFound, ValueError):
        pass
    gap = _gap(chain, roots)
    return OwnCertificates(
        folder=str(folder),
        names=tuple(names),
        issuer=_name(leaf.issuer),
        begins=leaf.not_valid_before_utc.timestamp(),
        ends=leaf.not_valid_after_utc.timestamp(),
        fits=key.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form),
        signed=not gap,
        gap=gap,
        itself=leaf.issuer == leaf.subject,
        digest=slow_digest(*(files[name] for name in facts.CERT_FILES)),
    )


KEY: Final = "Put the key there in clear, in PEM, readable for you alone: openssl pkey -in KEY -out key.pem"


def _certificates(pem: bytes, path: Path) -> list[Certificate]:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise UsageError(f"{path} has no certificate in PEM in it.", "It must begin with BEGIN CERTIFICATE.") from error


def _gap(chain: Sequence[Certificate], roots: Sequence[Certificate]) -> str:
    """Where the way from each certificate of a chain to the next, and from the last to a root, breaks off: a clause; ""
    where it does not."""
    for one, by in itertools.pairwise(chain):
        if not _signed(one, by):
            if any(_signed(one, other) for other in chain if other is not one):
                return "those in cert.pem are not in order: behind each certificate, the one that signed it"
            return _lacking(one, chain)
    last = chain[-1]
    if any(_signed(last, root) or last == root for root in roots):
        return ""
    return _lacking(last, roots)


def _lacking(one: Certificate, there: Sequence[Certificate]) -> str:
    by = _name(one.issuer)
    if any(one.issuer == other.subject for other in there):
        return f"the certificate of {by} that is there has another key than the one that signed {_name(one.subject)}"
    return f"the certificate of {by}, which signed {_name(one.subject)}, is missing in cert.pem"


def _name(name: Name) -> str:
    from cryptography.x509.oid import NameOID

    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return one_line(str(common[0].value)) if common else one_line(name.rfc4514_string())


def _signed(one: Certificate, by: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        one.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def judge(
    own: OwnCertificates, wanted: Sequence[str], now: float, *, product: str = "UCP", every: str = EVERY
) -> tuple[Finding, ...]:
    """What speaks against them.

    Args:
        wanted: names and addresses that people and nodes will use: of every manager, and of the load balancer.
        now: unix seconds.
        every: whose names those are, in words.
    """
    found: list[Finding] = []

    def block(what: str) -> None:
        found.append(Finding("certificates", Level.BLOCKS, "", what, BLOCKED.format(product=product)))

    def warn(what: str, next_step: str) -> None:
        found.append(Finding("certificates", Level.WARNING, "", what, next_step))

    if not own.fits:
        block(f"key.pem in {own.folder} is not the key of cert.pem.")
    if not own.signed:
        block(f"cert.pem in {own.folder} does not lead to ca.pem: {own.gap}.")
    if own.ends <= now:
        block(f"The certificate in {own.folder} ended {(now - own.ends) / DAY:.0f} days ago.")
    elif own.ends - now < SOON_DAYS * DAY:
        warn(f"The certificate in {own.folder} ends in {(own.ends - now) / DAY:.0f} days.", "Get a new one first.")
    if own.begins > now:
        block(f"The certificate in {own.folder} is not valid yet.")
    if own.itself:
        warn(
            f"The certificate in {own.folder} is signed by nobody but itself: not for production.",
            "Browsers and docker will not believe it until ca.pem is given to each of them.",
        )
    if missing := [name for name in dict.fromkeys(wanted) if name and not covers(own.names, name)]:
        warn(
            f"The certificate in {own.folder} is not made out to {', '.join(map(one_line, missing))}.",
            f"{every} must be among its names (SANs): else clients refuse it there.",
        )
    return tuple(found)


def covers(names: Sequence[str], wanted: str) -> bool:
    """Whether a certificate with these names is good for a host name or an address; a star is one label."""
    bare = wanted.strip("[]").lower().rstrip(".")
    held = {name.lower().rstrip(".") for name in names}
    try:
        return str(ipaddress.ip_address(bare)) in held
    except ValueError:
        return bare in held or ("." in bare and f"*.{bare.partition('.')[2]}" in held)
