"""Client bundles as a zip, with the members of each version."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from typing import Any

from standin import pki, state, store
from standin.components import SERVER_CERTS, Ucp
from standin.table import K8S, MKE, NEW


def make(
    ucp: Ucp, user: dict[str, Any], host: str, label: str, *, nested: bool = False
) -> tuple[bytes, dict[str, Any]]:
    """A new key pair for a user, and the zip.

    Administrators get a certificate of the cluster root, which every engine proxy takes too.

    Args:
        host: how the client reached UCP, "name" or "name:port".
        nested: the form of `POST /api/clientbundle` (MKE).
    """
    files = {}
    for name in (state.CLIENT_ROOT, state.CLUSTER_ROOT):
        files |= {f"{name}/{file}": (store.ROOT / name / file).read_bytes() for file in ("cert.pem", "key.pem")}
    signer = state.authority(files, state.CLUSTER_ROOT if user["isAdmin"] else state.CLIENT_ROOT)
    cert, key = pki.issue(signer, user["name"], unit=user["id"])
    server = (store.ROOT / SERVER_CERTS / "ca.pem").read_bytes()
    ca = b"".join(
        dict.fromkeys([server, *(files[f"{name}/cert.pem"] for name in (state.CLIENT_ROOT, state.CLUSTER_ROOT))])
    )
    address = host if ":" in host.rpartition("]")[2] else f"{host}:{ucp.controller_port}"
    public = pki.public_key(cert)
    exports = [
        "DOCKER_TLS_VERIFY=1",
        "COMPOSE_TLS_VERSION=TLSv1_2",
        "DOCKER_CERT_PATH=$PWD",
        f"DOCKER_HOST=tcp://{address}",
    ]
    kubernetes = ucp.number >= K8S
    if kubernetes:
        exports.append("KUBECONFIG=$PWD/kube.yml")
    comments = [
        f"# Bundle for user {user['name']}",
        f"# UCP Instance ID {ucp.instance}",
        "#",
        "# Run this command from within this directory to configure your shell:",
        "# eval $(<env.sh)",
    ]
    if user["isAdmin"]:
        comments.insert(2, "# This admin cert will also work directly against Swarm and the individual engine proxies")
    members: dict[str, bytes] = {
        "ca.pem": ca, "cert.pem": cert, "key.pem": key, "cert.pub": public.encode(),
        "env.sh": "\n".join([*(f"export {line}" for line in exports), *comments, ""]).encode(),
        "env.ps1": "\r\n".join(_powershell(line) for line in exports).encode(),
        "env.cmd": "\r\n".join(f"set {line.replace('$PWD', '%~dp0')}" for line in exports).encode(),
    }  # fmt: skip
    if kubernetes:
        members["kube.yml"] = b"apiVersion: v1\nkind: Config\n"
    if ucp.number >= NEW:
        members["meta.json"] = _meta(user["name"], address)
        for kind in ("docker", "kubernetes"):
            members |= {f"tls/{kind}/{name}.pem": members[f"{name}.pem"] for name in ("ca", "cert", "key")}
    identity = uuid.uuid4().hex
    if nested and ucp.number >= MKE:
        members["ucp-docker-bundle.zip"] = _zip(
            {k: v for k, v in members.items() if k == "meta.json" or k[:4] == "tls/"}
        )
    known = {
        "id": identity, "accountID": user["id"], "publicKey": public, "label": label or "Auto-Generated Client Bundle",
        "certificates": [{"label": "cert", "cert": cert.decode()}],
    }  # fmt: skip
    return _zip(members, identity if nested else ""), known


def _powershell(line: str) -> str:
    name, _, value = line.partition("=")
    return f'$Env:{name} = "{value.replace("$PWD", "$(Split-Path $script:MyInvocation.MyCommand.Path)")}"'


def _meta(user: str, address: str) -> bytes:
    docker = {"Host": f"tcp://{address}", "SkipTLSVerify": False}
    kubernetes = {"Host": f"https://{address.rpartition(':')[0]}:6443", "SkipTLSVerify": False, "DefaultNamespace": ""}
    about = {"Description": f"UCP bundle for {user}", "StackOrchestrator": ""}
    name = f"ucp_{address}_{user}"
    return json.dumps(
        {"Name": name, "Metadata": about, "Endpoints": {"docker": docker, "kubernetes": kubernetes}}
    ).encode()


def _zip(members: dict[str, bytes], comment: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)
        made.comment = comment.encode()
    return out.getvalue()
