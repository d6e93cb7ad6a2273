"""The files of a simulated host: its own, and those of its Swarm's folder, which are made when somebody reads them."""

from __future__ import annotations

import uuid
from dataclasses import replace

from cryptography import x509

from swarmtui.demo.world import disk
from swarmtui.demo.world.host import File, Host, LocalSwarm

SWARM = disk.SWARM
VOLUMES = "/var/lib/docker/volumes"
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")
FOLDERS = {
    **dict.fromkeys(("/", "/etc", "/var", "/var/lib", "/var/run", "/run", "/srv", "/home"), 0o755),
    "/root": 0o700,
    "/tmp": 0o1777,
    "/var/lib/docker": 0o711,
}
BLOCK = 4096
_KERNEL = ("/proc/uptime", "/proc/net/tcp", "/proc/net/tcp6", "/proc/sys/kernel/random/boot_id")
_SYSTEM = ("/etc/hostname", "/etc/os-release", "/etc/machine-id", "/proc/net/unix", *_KERNEL)
_OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'


class NoSpaceError(Exception):
    """The disk is full; `written` bytes still found room."""

    def __init__(self, written: int) -> None:
        super().__init__("No space left on device")
        self.written = written


def _places(host: Host) -> dict[str, LocalSwarm]:
    """The folders of Swarms that nobody has changed, by their paths."""
    return {**({SWARM: host.swarm} if host.swarm is not None else {}), **host.aside}


def _within(host: Host, path: str) -> tuple[LocalSwarm, str, bool] | None:
    """The Swarm's folder that a path lies in, the name in it, and whether an engine is at work there."""
    for place, swarm in _places(host).items():
        if path == place or path.startswith(f"{place}/"):
            return swarm, path[len(place) + 1 :], host.docker and place == SWARM
    return None


def listing(host: Host) -> set[str]:
    """The paths of all files and links of a host."""
    found = {*_SYSTEM, *host.files, *host.links}
    for place, swarm in _places(host).items():
        running = host.docker and place == SWARM
        found |= {f"{place}/{name}" for name in disk.names(swarm, running=running)}
    return found


def folders(host: Host) -> dict[str, int]:
    """All folders that are there by themselves, with their modes."""
    found = {**FOLDERS, **host.folders}
    if host.volumes:
        found[VOLUMES] = 0o701
        found |= {f"{VOLUMES}/{name}": 0o701 for name in host.volumes}
        found |= {f"{VOLUMES}/{name}/_data": 0o755 for name in host.volumes}
    for place, swarm in _places(host).items():
        found |= {f"{place}/{name}".rstrip("/"): mode for name, mode in disk.folders(swarm).items()}
    return found


def kind(host: Host, path: str) -> str:
    """What is at a path of a host: `socket`, `link`, `file`, `folder`, or nothing."""
    bare = path.rstrip("/") or "/"
    if bare in SOCKETS:
        return "socket" if host.docker or host.socket else ""
    if bare in host.links:
        return "link"
    known = listing(host)
    if bare in known:
        return "file"
    if bare in folders(host) or any(name.startswith(bare + "/") for name in known):
        return "folder"
    return ""


def mode(host: Host, path: str) -> int:
    """The permissions of a file or a folder."""
    bare = path.rstrip("/") or "/"
    if kind(host, bare) == "folder":
        return folders(host).get(bare, 0o755)
    found = stat(host, bare)
    return 0o644 if found is None else found.mode


def stat(host: Host, path: str) -> File | None:
    """A file as `stat` shows it; what a Swarm's log holds is not made for that."""
    place = _within(host, path)
    if place is None or path in host.files:
        return content(host, path)
    swarm, name, running = place
    if name not in disk.names(swarm, running=running):
        return None
    if name.startswith("raft/wal"):
        return File(b"", size=disk.length(swarm, name, running=running), mode=0o600)
    return disk.content(swarm, name, running=running)


def content(host: Host, path: str, now: float = 0.0) -> File | None:
    """A file; None if there is none, or if it is none that could be read.

    Args:
        now: the time, for files that tell it.
    """
    if path in host.files:
        return host.files[path]
    place = _within(host, path)
    if place is not None:
        swarm, name, running = place
        return disk.content(swarm, name, running=running)
    text = _system(host, path, now)
    return None if text is None else File(text.encode())


def read(host: Host, path: str, now: float = 0.0) -> str | None:
    """A file as text, from which its bytes can be had again with `surrogateescape`; None if there is none."""
    found = content(host, path, now)
    return None if found is None else found.whole().decode("utf-8", "surrogateescape")


def _system(host: Host, path: str, now: float) -> str | None:
    if path == "/proc/net/unix":
        sockets = ["/run/systemd/private", *(["/run/docker.sock"] if host.docker or host.socket else [])]
        lines = (f"0000000000000000: 00000002 00000000 00010000 0001 01 {n} {s}" for n, s in enumerate(sockets, 17001))
        return "Num       RefCount Protocol Flags    Type St Inode Path\n" + "".join(f"{line}\n" for line in lines)
    if path in ("/proc/net/tcp", "/proc/net/tcp6"):
        return _listening(host, wide=path.endswith("6"))
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
    return None


def _listening(host: Host, *, wide: bool) -> str:
    """The table of the kernel: sshd listens on both, Docker and what it publishes on IPv6, which takes IPv4 as well."""
    ports = {22}
    if wide and host.running:
        swarm = host.swarm
        if swarm is not None and not swarm.locked:
            ports |= {7946, *([2377] if swarm.role == "manager" else [])}
            ports |= {
                int(p["PublishedPort"])
                for one in swarm.cluster.services.values()
                for p in one.ports
                if p.get("PublishMode") != "host"
            }
        running = (one for one in host.containers.values() if one.state == "running")
        ports |= {int(port["PublishedPort"]) for one in running for port in one.ports}
    zeros = "0" * (32 if wide else 8)
    head = "  sl  local_address                         remote_address                        st tx_queue rx_queue\n"
    return head + "".join(
        f"{number:4d}: {zeros}:{port:04X} {zeros}:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
        for number, port in enumerate(sorted(ports))
    )


def busy(host: Host, path: str) -> bool:
    """Does a running engine hold what is at this path, or below it?"""
    bare = path.rstrip("/")
    return host.docker and (bare == SWARM or SWARM.startswith(bare + "/") or bare.startswith(SWARM + "/"))


def _unfold(host: Host, path: str) -> None:
    """Somebody changes a Swarm's folder: from now on its files are what counts."""
    for place, swarm in list(_places(host).items()):
        if path == place or not path.startswith(f"{place}/"):
            continue
        for name in disk.names(swarm, running=False):
            found = disk.content(swarm, name, running=False)
            if found is not None:
                host.files[f"{place}/{name}"] = replace(found)
        host.folders |= {f"{place}/{name}".rstrip("/"): bits for name, bits in disk.folders(swarm).items()}
        if place == SWARM:
            host.swarm = None
        else:
            del host.aside[place]


def write(host: Host, path: str, data: bytes, *, now: float, mode: int = 0o644, append: bool = False) -> None:
    """Write a file.

    Raises:
        NoSpaceError: the disk is full; what still found room was written.
    """
    _unfold(host, path)
    old = host.files.get(path)
    before = b"" if old is None or not append else old.whole()
    whole = before + data
    if host.room is not None:
        grown = _blocks(len(whole)) - (0 if old is None else _blocks(len(old.data)))
        if grown * BLOCK > host.room:
            fits = (_blocks(0 if old is None else len(old.data)) + host.room // BLOCK) * BLOCK
            written = max(0, fits - len(before))
            whole = whole[: max(len(before), fits)]
            _put(host, path, whole, now, old.mode if old is not None else mode)
            host.room %= BLOCK
            raise NoSpaceError(written)
        host.room -= grown * BLOCK
    _put(host, path, whole, now, old.mode if old is not None else mode)


def _put(host: Host, path: str, data: bytes, now: float, mode: int) -> None:
    host.files[path] = File(data, mode=mode, mtime=now)


def put(host: Host, path: str, file: File) -> None:
    """Put a whole file in a place, as it is."""
    _unfold(host, path)
    host.files[path] = file


def _blocks(length: int) -> int:
    return -(-length // BLOCK)


def remove(host: Host, path: str) -> bool:
    """Remove what is at a path and below it; a running engine keeps its Swarm's folder busy."""
    bare = path.rstrip("/")
    if busy(host, bare):
        return False
    _unfold(host, bare)
    if bare == SWARM or SWARM.startswith(bare + "/"):
        host.swarm, host.swarm_error = None, ""
    for place in [name for name in host.aside if name == bare or name.startswith(bare + "/")]:
        del host.aside[place]
    gone = [name for name in host.files if name == bare or name.startswith(bare + "/")]
    for name in gone:
        if host.room is not None:
            host.room += _blocks(len(host.files[name].data)) * BLOCK
        del host.files[name]
    for table in (host.folders, host.links):
        for name in [name for name in table if name == bare or name.startswith(bare + "/")]:
            del table[name]
    return True


def move(host: Host, source: str, target: str) -> bool:
    """Move a file or a folder; a running engine keeps its Swarm's folder busy."""
    if busy(host, source) or busy(host, target):
        return False
    _unfold(host, source)
    _unfold(host, target)
    places = _places(host)
    if source in places:
        swarm = places[source]
        if source == SWARM:
            host.swarm = None
        else:
            del host.aside[source]
        if target == SWARM:
            host.swarm = swarm
        else:
            host.aside[target] = swarm
    for table in (host.files, host.folders, host.links):
        moved = {name: table[name] for name in table if name == source or name.startswith(source + "/")}
        for name, value in moved.items():
            del table[name]
            table[target + name[len(source) :]] = value  # type: ignore[assignment]
    return True


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
