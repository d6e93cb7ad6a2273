"""The certificate authorities of a UCP and what they sign."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Files = Mapping[str, bytes]


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
    return made.not_valid_after(now + datetime.timedelta(days=days))


def _name(common: str, unit: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if unit:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(parts)


def root(name: str) -> dict[str, bytes]:
    """A new authority: cert.pem, key.pem, config.json."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    made = _builder(subject, subject, key, 7300).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    certificate = made.add_extension(usage, True).sign(key, hashes.SHA256())
    config = b'{"signing":{"default":{"expiry":"8760h"},"profiles":{"node":{"expiry":"8760h"}}}}\n'
    return {
        "cert.pem": certificate.public_bytes(serialization.Encoding.PEM),
        "key.pem": _pem(key),
        "config.json": config,
    }


def issue(authority: Files, common: str, names: Iterable[str] = (), unit: str = "") -> tuple[bytes, bytes]:
    """A certificate for servers (with names) and clients, and its key, both PEM."""
    issuer = x509.load_pem_x509_certificate(authority["cert.pem"])
    signer = serialization.load_pem_private_key(authority["key.pem"], None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(_name(common, unit), issuer.subject, key, 1825)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if names:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        made = made.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
    made = made.add_extension(x509.ExtendedKeyUsage(usages), False)
    signed = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = made.add_extension(signed, False).sign(signer, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def public_key(certificate: bytes) -> str:
    """The PEM of the public key in a certificate."""
    key = x509.load_pem_x509_certificate(certificate).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def fingerprint(certificate: bytes) -> str:
    """SHA-256, as UCP prints it: AA:BB:…"""
    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def common_name(certificate_der: bytes) -> tuple[str, str]:
    """The CN of a certificate (DER), and its public key as PEM."""
    certificate = x509.load_der_x509_certificate(certificate_der)
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return str(found[0].value) if found else "", public_key(pem)


def problem(files: Files) -> str:
    """What is wrong with a server's ca.pem, cert.pem and key.pem, or ""."""
    for name in ("ca.pem", "cert.pem", "key.pem"):
        if not files.get(name):
            return f"missing {name}"
    try:
        leaf = x509.load_pem_x509_certificates(files["cert.pem"])[0]
        key = serialization.load_pem_private_key(files["key.pem"], None)
        authorities = x509.load_pem_x509_certificates(files["ca.pem"])
    except (ValueError, TypeError) as error:
        return str(error)
    if key.public_key() != leaf.public_key():
        return "tls: private key does not match public key"
    for authority in authorities:
        try:
            leaf.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return ""
    chain = x509.load_pem_x509_certificates(files["cert.pem"])
    return "" if len(chain) > 1 else "x509: certificate signed by unknown authority"


def signed_by(certificate: bytes, authority: bytes) -> bool:
    """Whether an authority signed a certificate (both PEM)."""
    try:
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def names_in(certificate: bytes) -> set[str]:
    """The alternative names of a certificate."""
    leaf = x509.load_pem_x509_certificate(certificate)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}
