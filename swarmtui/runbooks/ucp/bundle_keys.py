"""Which of UCP's client bundles one is: by the public key, which its certificate and UCP's own list have."""

from __future__ import annotations

import contextlib
from pathlib import Path

from swarmtui.errors import UsageError
from swarmtui.link.bundle import open_bundle
from swarmtui.link.target import TcpTarget
from swarmtui.link.ucp.shapes import BundleKey
from swarmtui.runbooks.runbook import StepError


def bundle_in(folder: Path) -> TcpTarget:
    """The bundle that lies there. Raises StepError."""
    try:
        return open_bundle(folder, folder)
    except UsageError as error:
        raise StepError(error.what, "Remove that folder, then retry.") from error


def key_of(certificate: Path) -> bytes:
    """The public key of a certificate in PEM, as DER. Raises ValueError, OSError."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_in(folder: Path) -> bytes:
    """The public key of the bundle's certificate, as DER; its private key must fit. Raises StepError."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    tls = bundle_in(folder).tls
    try:
        assert tls.cert is not None and tls.key is not None
        public = key_of(tls.cert)
        key = load_pem_private_key(tls.key.read_bytes(), None)
        fits = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public
    except (ValueError, TypeError, OSError) as error:
        raise StepError(f"The certificate or key in {folder} cannot be read.", "Remove that folder, retry.") from error
    if not fits:
        raise StepError(f"The key in {folder} is not that of its certificate.", "Remove that folder, then retry.")
    return public


def keys_of(listed: BundleKey) -> list[bytes]:
    """The public keys of a bundle as UCP lists it, as DER."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    found = []
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        found.append(load_pem_public_key((listed.public_key or "").encode()))
    for one in listed.certificates or ():
        with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
            found.append(x509.load_pem_x509_certificate((one.cert or "").encode()).public_key())
    return [key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in found]
