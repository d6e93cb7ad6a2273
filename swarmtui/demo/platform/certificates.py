"""The certificates of UCP: its own root, its web servers', and those of client bundles."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Root:
    """A root CA and what it signs. `pem` and `key_pem` are its own."""

    def __init__(self, name: str, now: float) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.key_pem = _private(self._key)
        self._begin = datetime.fromtimestamp(now - 3600, UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, subject, self._key.public_key(), 3650)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = _pem(self._certificate)

    @classmethod
    def load(cls, pem: str, key_pem: str, now: float) -> Root:
        """The CA of a backup."""
        root = cls.__new__(cls)
        key = serialization.load_pem_private_key(key_pem.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        root._key, root._certificate = key, x509.load_pem_x509_certificate(pem.encode())
        root._begin = datetime.fromtimestamp(now - 3600, UTC)
        root.pem, root.key_pem = pem, key_pem
        return root

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begin)
            .not_valid_after(self._begin + timedelta(days=days))
        )

    def server(self, name: str, alternatives: Iterable[str]) -> tuple[str, str]:
        """A web server's certificate and key in PEM."""
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, name: str) -> tuple[str, str]:
        """A user's certificate and key in PEM; the user is its common name."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def _issue(self, name: str, usage: x509.ObjectIdentifier, alternatives: Iterable[str]) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, self._certificate.subject, key.public_key(), 365)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        names = [_general(text) for text in dict.fromkeys(alternatives)]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return _pem(builder.sign(self._key, hashes.SHA256())), _private(key)


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public(pem: str) -> str:
    """The public key of a certificate in PEM: cert.pub of a client bundle."""
    key = x509.load_pem_x509_certificate(pem.encode()).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
