"""The certificate authority of a simulated Swarm: real certificates, made for this run."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Certificate:
    """A node's TLS certificate.

    Attributes:
        pem: certificate followed by its issuer's, as in swarm-node.crt.
        key: the private key in PEM, as in swarm-node.key.
        not_after: when it expires, in seconds since the epoch.
    """

    pem: str
    key: str
    not_after: float


class Authority:
    """One root CA: EC P-256, valid for 20 years, as Swarm makes it."""

    def __init__(self, now: float) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swarm-ca")])
        begin = datetime.fromtimestamp(now - 3600, UTC)
        self._cert = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=7300))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self._cert.public_bytes(serialization.Encoding.PEM).decode()
        self.key_pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ).decode()
        self.digest = "sha256:" + hashlib.sha256(self._cert.public_bytes(serialization.Encoding.PEM)).hexdigest()
        self.subject = base64.b64encode(self._name.public_bytes()).decode()
        self.public_key = base64.b64encode(
            self._key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        ).decode()

    def tls_info(self) -> dict[str, str]:
        """`TLSInfo` of nodes and of the cluster."""
        return {
            "TrustRoot": self.pem,
            "CertIssuerSubject": self.subject,
            "CertIssuerPublicKey": self.public_key,
        }

    def issue(self, node: str, role: str, cluster: str, begin: float, end: float) -> Certificate:
        """A node's certificate: CN is the node's id, OU its role, O the cluster's id."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"swarm-{role}"),
                x509.NameAttribute(NameOID.COMMON_NAME, node),
            ]
        )
        cert = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.fromtimestamp(int(begin), UTC))
            .not_valid_after(datetime.fromtimestamp(int(end), UTC))
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(f"swarm-{role}"), x509.DNSName(node)]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        pem = cert.public_bytes(serialization.Encoding.PEM).decode() + self.pem
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        return Certificate(pem, private, float(int(end)))


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=not ca,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
