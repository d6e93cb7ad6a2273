"""Client bundles, as each release of UCP makes them."""

from __future__ import annotations

import io
import json
import uuid
import zipfile

from swarmtui.demo.platform.accounts import Account
from swarmtui.demo.platform.certificates import public
from swarmtui.demo.platform.ucp import Ucp


def make(ucp: Ucp, account: Account, port: int, label: str = "") -> bytes:
    """A bundle; every call makes a new key.

    Args:
        port: of this machine, where the manager answers.
        label: what MKE calls it.
    """
    certificate, key = ucp.root.client(account.name)
    identity = uuid.uuid4().hex
    account.keys[identity] = public(certificate)
    if label:
        account.labels[identity] = label
    address = f"tcp://127.0.0.1:{port}"
    files = _plain(ucp, account, address, certificate, key)
    if ucp.release.files:
        files |= _context(ucp, account, address, certificate, key)
    if ucp.release.product.startswith("mirantis/"):
        inner = _zip({name: text for name, text in files.items() if name == "meta.json" or name.startswith("tls/")})
        bare = {name: text for name, text in files.items() if name != "meta.json" and not name.startswith("tls/")}
        return _zip({**bare, "ucp-docker-bundle.zip": inner}, identity)
    return _zip(files)


def _plain(ucp: Ucp, account: Account, address: str, certificate: str, key: str) -> dict[str, str | bytes]:
    note = f"# Bundle for user {account.name}\n# UCP Instance ID {ucp.instance}\n"
    if account.admin:
        note += "# This admin cert will also work directly against Swarm and the individual engine proxies\n"
    kube = "export KUBECONFIG=$PWD/kube.yml\n" if ucp.release.files else ""
    return {
        "ca.pem": ucp.ca_pem,
        "cert.pem": certificate,
        "key.pem": key,
        "cert.pub": public(certificate),
        "env.sh": "export DOCKER_TLS_VERIFY=1\nexport COMPOSE_TLS_VERSION=TLSv1_2\n"
        f"export DOCKER_CERT_PATH=$PWD\nexport DOCKER_HOST={address}\n{kube}#\n{note}",
        "env.ps1": f'$env:DOCKER_TLS_VERIFY = "1"\n$env:DOCKER_CERT_PATH = $pwd\n$env:DOCKER_HOST = "{address}"\n',
        "env.cmd": f"@echo off\nset DOCKER_TLS_VERIFY=1\nset DOCKER_CERT_PATH=%~dp0\nset DOCKER_HOST={address}\n",
        **({"kube.yml": "apiVersion: v1\nkind: Config\n"} if ucp.release.files else {}),
    }


def _context(ucp: Ucp, account: Account, address: str, certificate: str, key: str) -> dict[str, str | bytes]:
    """What `docker context import` takes."""
    meta = {
        "Name": f"ucp_{account.name}",
        "Metadata": {"Description": f"context for {account.name}", "StackOrchestrator": "swarm"},
        "Endpoints": {"docker": {"Host": address, "SkipTLSVerify": False}},
    }
    found: dict[str, str | bytes] = {"meta.json": json.dumps(meta)}
    for kind in ("docker", "kubernetes"):
        for name, text in (("ca", ucp.ca_pem), ("cert", certificate), ("key", key)):
            found[f"tls/{kind}/{name}.pem"] = text
    return found


def _zip(files: dict[str, str | bytes], comment: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment.encode()
    return buffer.getvalue()
