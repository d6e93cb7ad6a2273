"""The few files of a simulated host that somebody may look at."""

from __future__ import annotations

import uuid

import msgspec
from cryptography import x509

from swarmtui.demo.world.host import Host, LocalSwarm
from swarmtui.demo.world.pki import Certificate

SWARM = "/var/lib/docker/swarm"
CERTIFICATES = f"{SWARM}/certificates"
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")
FOLDERS = ("/", "/etc", "/root", "/tmp", "/var", "/var/lib", "/var/lib/docker", "/var/run", "/run", "/srv", "/home")
_KERNEL = ("/proc/uptime", "/proc/sys/kernel/random/boot_id")
_OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'


def listing(host: Host) -> set[str]:
    """The paths of all files of a host."""
    found = {"/etc/hostname", "/etc/os-release", "/etc/machine-id", "/proc/net/unix", *_KERNEL, *host.files}
    if host.swarm is not None:
        found |= _swarm_files(SWARM, host.swarm)
    for path, swarm in host.aside.items():
        found |= _swarm_files(path, swarm)
    return found


def _swarm_files(folder: str, swarm: LocalSwarm) -> set[str]:
    names = {
        "certificates/swarm-node.crt",
        "certificates/swarm-node.key",
        "certificates/swarm-root-ca.crt",
        "docker-state.json",
        "state.json",
        "worker/tasks.db",
    }
    if swarm.role == "manager":
        names.add("raft/wal-v3-encrypted/0000000000000000-0000000000000000.wal")
    return {f"{folder}/{name}" for name in names}


def kind(host: Host, path: str) -> str:
    """What is at a path of a host: `socket`, `file`, `folder`, or nothing."""
    bare = path.rstrip("/") or "/"
    if bare in SOCKETS:
        return "socket" if host.docker or host.socket else ""
    known = listing(host)
    if bare in known:
        return "file"
    if bare in FOLDERS or bare in host.folders or any(name.startswith(bare + "/") for name in known):
        return "folder"
    return ""


def remove(host: Host, path: str) -> bool:
    """Remove what is at a path and below it; a running engine keeps its Swarm's folder busy."""
    bare = path.rstrip("/")
    if bare == SWARM or SWARM.startswith(bare + "/"):
        if host.docker:
            return False
        host.swarm = None
    host.aside.pop(bare, None)
    for name in [name for name in host.files if name == bare or name.startswith(bare + "/")]:
        del host.files[name]
    host.folders = {name for name in host.folders if name != bare and not name.startswith(bare + "/")}
    return True


def move(host: Host, source: str, target: str) -> bool:
    """Move a file or a folder; a running engine keeps its Swarm's folder busy."""
    if SWARM in (source, target) and host.docker:
        return False
    if source == SWARM and host.swarm is not None:
        host.aside[target], host.swarm = host.swarm, None
    elif source in host.aside:
        swarm = host.aside.pop(source)
        if target == SWARM:
            host.swarm = swarm
        else:
            host.aside[target] = swarm
    for name in [name for name in host.files if name == source or name.startswith(source + "/")]:
        host.files[target + name[len(source) :]] = host.files.pop(name)
    host.folders = {
        target + name[len(source) :] if name == source or name.startswith(source + "/") else name
        for name in host.folders
    }
    return True


def read(host: Host, path: str, now: float = 0.0) -> str | None:
    """The text of a file; None if there is none, or if it is not text.

    Args:
        now: the time, for files that tell it.
    """
    if path in host.files:
        return host.files[path]
    if path == "/proc/net/unix":
        sockets = ["/run/systemd/private", *(["/run/docker.sock"] if host.docker or host.socket else [])]
        lines = (f"0000000000000000: 00000002 00000000 00010000 0001 01 {n} {s}" for n, s in enumerate(sockets, 17001))
        return "Num       RefCount Protocol Flags    Type St Inode Path\n" + "".join(f"{line}\n" for line in lines)
    if path == "/proc/uptime" and now:
        return f"{now - host.boot:.2f} {now - host.boot:.2f}\n"
    if path == "/proc/sys/kernel/random/boot_id":
        return f"{uuid.uuid5(uuid.NAMESPACE_DNS, f'{host.name} {host.boot!r}')}\n"
    if path == "/etc/hostname":
        return f"{host.name}\n"
    if path == "/etc/os-release":
        return _OS_RELEASE
    if path == "/etc/machine-id":
        return host.engine_id.replace(":", "").lower()[:32] + "\n"
    for folder, aside in host.aside.items():
        if path.startswith(folder + "/"):
            return _swarm_file(aside, SWARM + path[len(folder) :])
    return None if host.swarm is None else _swarm_file(host.swarm, path)


def certificate(swarm: LocalSwarm) -> Certificate:
    """The certificate of a node, made when somebody looks at it first."""
    if swarm.certificate is None:
        swarm.certificate = swarm.cluster.authority.issue(
            swarm.node_id, swarm.role, swarm.cluster.id, swarm.cert_begin, swarm.cert_end
        )
    return swarm.certificate


def _swarm_file(swarm: LocalSwarm, path: str) -> str | None:
    if path == f"{CERTIFICATES}/swarm-root-ca.crt":
        return swarm.cluster.authority.pem
    if path in (f"{CERTIFICATES}/swarm-node.crt", f"{CERTIFICATES}/swarm-node.key"):
        own = certificate(swarm)
        return own.pem if path.endswith("crt") else own.key
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
    found = x509.load_pem_x509_certificate(pem.encode())
    form = "%b %e %H:%M:%S %Y GMT"
    subject = ", ".join(f"{_short(name)} = {name.value!s}" for name in found.subject)
    issuer = ", ".join(f"{_short(name)} = {name.value!s}" for name in found.issuer)
    return [
        ("-subject", f"subject={subject}"),
        ("-issuer", f"issuer={issuer}"),
        ("-startdate", f"notBefore={found.not_valid_before_utc.strftime(form)}"),
        ("-enddate", f"notAfter={found.not_valid_after_utc.strftime(form)}"),
    ]


def _short(name: x509.NameAttribute[str | bytes]) -> str:
    return name.rfc4514_attribute_name
