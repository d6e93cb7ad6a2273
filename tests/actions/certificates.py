"""Certificates of nodes that are signed by a CA whose key a test has: how one expires without any clock set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.lab.host import Host
from tests.lab.machine import wait_for

FILE = "/var/lib/docker/swarm/certificates/swarm-node.crt"
NAME = "test-swarm-ca"


class Authority:
    """A CA that becomes a Swarm's own. Valid for a year before now: a leaf must lie within its time."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=365))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=False,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def rule(self, leader: Host, managers: list[Host]) -> None:
        """Becomes the CA of the Swarm; waits until every manager has a certificate of it."""
        pem = serialization.Encoding.PEM
        key = self._key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        leader.sh("cat > /root/ca.crt", data=self.certificate.public_bytes(pem))
        leader.sh("umask 077; cat > /root/ca.key", data=key)
        leader.sh("docker swarm ca --rotate --quiet --ca-cert /root/ca.crt --ca-key /root/ca.key", timeout=90)
        leader.sh("rm /root/ca.key")
        wait_for("every manager has a certificate of the new CA", lambda: all(map(self._signed, managers)), 60, 0.5)

    def _signed(self, host: Host) -> bool:
        return NAME in self._of(host).issuer.rfc4514_string()

    @staticmethod
    def _of(host: Host) -> x509.Certificate:
        return x509.load_pem_x509_certificate(host.sh(f"cat {FILE}").stdout.encode())

    def sign(self, host: Host, begins: timedelta, ends: timedelta) -> None:
        """Signs a host's certificate anew: the same subject, the same key, valid from and until then, from now."""
        old, now = self._of(host), datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(old.subject)
            .issuer_name(self.certificate.subject)
            .public_key(old.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )
        for extension in old.extensions:
            made = made.add_extension(extension.value, extension.critical)
        pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        host.sh(f"cat > {FILE}", data=pem)
