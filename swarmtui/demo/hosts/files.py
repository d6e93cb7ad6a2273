"""The few files of a simulated host that somebody may look at."""

from __future__ import annotations

import msgspec
from cryptography import x509

from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World

SWARM = "/var/lib/docker/swarm"
CERTIFICATES = f"{SWARM}/certificates"
_OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'


def listing(host: Host) -> set[str]:
    """The paths of all files of a host."""
    found = {"/etc/hostname", "/etc/os-release", "/etc/machine-id", *host.files}
    if host.swarm is not None:
        found |= {
            f"{CERTIFICATES}/swarm-node.crt",
            f"{CERTIFICATES}/swarm-node.key",
            f"{CERTIFICATES}/swarm-root-ca.crt",
            f"{SWARM}/docker-state.json",
            f"{SWARM}/state.json",
            f"{SWARM}/worker/tasks.db",
        }
        if host.swarm.role == "manager":
            found.add(f"{SWARM}/raft/wal-v3-encrypted/0000000000000000-0000000000000000.wal")
    return found


def read(world: World, host: Host, path: str) -> str | None:
    """The text of a file; None if there is none, or if it is not text."""
    if path in host.files:
        return host.files[path]
    if path == "/etc/hostname":
        return f"{host.name}\n"
    if path == "/etc/os-release":
        return _OS_RELEASE
    if path == "/etc/machine-id":
        return host.engine_id.replace(":", "").lower()[:32] + "\n"
    swarm = host.swarm
    if swarm is None:
        return None
    if path == f"{CERTIFICATES}/swarm-root-ca.crt":
        return swarm.cluster.authority.pem
    if path == f"{CERTIFICATES}/swarm-node.crt":
        if swarm.certificate is None:
            swarm.certificate = swarm.cluster.authority.issue(
                swarm.node_id, swarm.role, swarm.cluster.id, swarm.cert_begin, swarm.cert_end
            )
        return swarm.certificate.pem
    if path == f"{SWARM}/state.json":
        remotes = [{"node_id": node, "addr": address} for node, address in swarm.remotes.items()]
        return msgspec.json.encode(remotes).decode()
    if path == f"{SWARM}/docker-state.json":
        state = {
            "LocalAddr": swarm.address,
            "RemoteAddr": "",
            "ListenAddr": swarm.listen,
            "AdvertiseAddr": f"{swarm.address}:2377",
            "DataPathAddr": "",
            "DefaultAddressPool": None,
            "SubnetSize": 0,
            "DataPathPort": 0,
            "JoinInProgress": False,
        }
        return msgspec.json.encode(state).decode()
    return None


def certificate_lines(pem: str) -> list[tuple[str, str]]:
    """What `openssl x509` prints of the first certificate, by option."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    form = "%b %e %H:%M:%S %Y GMT"
    subject = ", ".join(f"{_short(name)} = {name.value!s}" for name in certificate.subject)
    issuer = ", ".join(f"{_short(name)} = {name.value!s}" for name in certificate.issuer)
    return [
        ("-subject", f"subject={subject}"),
        ("-issuer", f"issuer={issuer}"),
        ("-startdate", f"notBefore={certificate.not_valid_before_utc.strftime(form)}"),
        ("-enddate", f"notAfter={certificate.not_valid_after_utc.strftime(form)}"),
    ]


def _short(name: x509.NameAttribute[str | bytes]) -> str:
    return name.rfc4514_attribute_name
