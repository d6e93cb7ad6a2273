"""Commands of the simulated hosts that look at and move files. All of it happens in memory.

The folder of a Swarm, /var/lib/docker/swarm, is the host's membership itself: moved aside with Docker stopped, the
host is in no Swarm; moved back, it is in the old one again.
"""

from __future__ import annotations

import hashlib
import posixpath

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host


def _split(context: Context) -> tuple[str, list[str]]:
    """The letters of the options, and the paths."""
    letters = "".join(w.lstrip("-") for w in context.args if w.startswith("-") and not w.startswith("--"))
    paths = [word for word in context.args if not word.startswith("-")]
    return letters, [posixpath.normpath(posixpath.join("/root", path)) for path in paths]


@command("mkdir")
async def mkdir(context: Context) -> Output:
    letters, paths = _split(context)
    result = Output()
    for path in paths:
        if files.kind(context.host, path) and "p" not in letters:
            result.err += f"mkdir: cannot create directory '{path}': File exists\n"
            result.code = 1
        else:
            context.host.folders.add(path)
    return result


@command("touch")
async def touch(context: Context) -> Output:
    for path in _split(context)[1]:
        if not files.kind(context.host, path):
            context.host.files[path] = ""
    return Output()


@command("chmod", "chown", "sync")
async def accepted(context: Context) -> Output:
    return Output()


@command("rm")
async def rm(context: Context) -> Output:
    letters, paths = _split(context)
    result = Output()
    for path in paths:
        kind = files.kind(context.host, path)
        if path in ("/", "/etc", "/var", "/var/lib", "/run", "/root", "/tmp"):
            result.err += f"rm: a simulated host keeps '{path}'\n"
        elif not kind and "f" not in letters:
            result.err += f"rm: cannot remove '{path}': No such file or directory\n"
        elif kind == "folder" and not set("rR") & set(letters):
            result.err += f"rm: cannot remove '{path}': Is a directory\n"
        elif kind and not files.remove(context.host, path):
            result.err += f"rm: cannot remove '{path}': Device or resource busy\n"
    result.code = 1 if result.err else 0
    return result


@command("mv")
async def mv(context: Context) -> Output:
    _, paths = _split(context)
    if len(paths) != 2:
        return Output(err="mv: missing destination file operand\n", code=1)
    source, target = paths
    if not files.kind(context.host, source):
        return Output(err=f"mv: cannot stat '{source}': No such file or directory\n", code=1)
    if files.kind(context.host, target) == "folder":
        target = f"{target}/{source.rpartition('/')[2]}"
    if not files.move(context.host, source, target):
        return Output(err=f"mv: cannot move '{source}' to '{target}': Device or resource busy\n", code=1)
    return Output()


@command("cp")
async def cp(context: Context) -> Output:
    letters, paths = _split(context)
    if len(paths) != 2:
        return Output(err="cp: missing destination file operand\n", code=1)
    source, target = paths
    kind = files.kind(context.host, source)
    if not kind:
        return Output(err=f"cp: cannot stat '{source}': No such file or directory\n", code=1)
    if kind == "folder" and not set("arR") & set(letters):
        return Output(err=f"cp: -r not specified; omitting directory '{source}'\n", code=1)
    for path in sorted(files.listing(context.host)):
        if path == source or path.startswith(f"{source}/"):
            text = files.read(context.host, path)
            context.host.files[target + path[len(source) :]] = text or ""
    return Output()


@command("sha256sum")
async def sha256sum(context: Context) -> Output:
    result = Output()
    for path in _split(context)[1]:
        text = files.read(context.host, path)
        if text is None:
            result.err += f"sha256sum: {path}: No such file or directory\n"
            result.code = 1
        else:
            digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
            result.out += f"{digest}  {path}\n"
    return result


@command("du")
async def du(context: Context) -> Output:
    """A Swarm's folder takes 123 MB: two preallocated files of its log."""
    letters, paths = _split(context)
    result = Output()
    for path in paths:
        kind = files.kind(context.host, path)
        if not kind:
            result.err += f"du: cannot access '{path}': No such file or directory\n"
            result.code = 1
            continue
        size = 123 << 20 if path == files.SWARM else 4096
        shown = f"{size // (1 << 20)}M" if "h" in letters and size > 1 << 20 else str(size // 1024)
        result.out += f"{size if 'b' in letters else shown}\t{path}\n"
    return result


@command("df")
async def df(context: Context) -> Output:
    total, used = 61_255_492, 18_376_648
    free = total - used
    percent = round(100 * used / total)
    return Output(
        out="Filesystem     1K-blocks     Used Available Use% Mounted on\n"
        f"/dev/vda1       {total} {used}  {free}  {percent}% /\n"
    )


@command("free")
async def free(context: Context) -> Output:
    letters, _ = _split(context)
    unit = 1 << 20 if "m" in letters else 1 << 10 if "b" not in letters else 1
    total = context.host.memory // unit
    used = total * 2 // 5
    return Output(
        out="               total        used        free      shared  buff/cache   available\n"
        f"Mem:    {total:>12}{used:>12}{total // 5:>12}{total // 100:>12}{total // 3:>12}{total - used:>12}\n"
        f"Swap:   {0:>12}{0:>12}{0:>12}\n"
    )


@command("nproc")
async def nproc(context: Context) -> Output:
    return Output(out=f"{context.host.cpus}\n")


@command("timedatectl")
async def timedatectl(context: Context) -> Output:
    synchronised = abs(context.host.clock_offset) < 1
    if context.args[:1] == ["show"]:
        wanted = next((w for w in context.args if w.startswith("--property=")), "")
        answer = "yes" if synchronised else "no"
        value = answer if "--value" in context.args else f"NTPSynchronized={answer}"
        return Output(
            out=f"{value}\n" if "NTPSynchronized" in wanted else f"Timezone=Etc/UTC\nNTPSynchronized={answer}\n"
        )
    return Output(
        out="                Time zone: Etc/UTC (UTC, +0000)\n"
        f"System clock synchronized: {'yes' if synchronised else 'no'}\n"
        "              NTP service: active\n"
    )


@command("ip")
async def ip(context: Context) -> Output:
    words = [word for word in context.args if not word.startswith("-")]
    host = context.host
    if words[:1] in (["addr"], ["address"], ["a"]):
        addresses = [host.ip, *host.aliases]
        if words[1:2] in (["add"], ["del"]):
            return _alias(context, words)
        if "-o" in context.args or "-br" in context.args:
            return Output(out=_one_line_each(host))
        return Output(
            out="1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 state UNKNOWN\n    inet 127.0.0.1/8 scope host lo\n"
            "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP\n"
            + "".join(f"    inet {address}/24 scope global eth0\n" for address in addresses)
        )
    if words[:1] in (["route"], ["r"]):
        gateway = host.ip.rpartition(".")[0] + ".1"
        return Output(out=f"default via {gateway} dev eth0\n")
    return Output(err='ip: only "addr" and "route" are known on a simulated host\n', code=1)


def _one_line_each(host: Host) -> str:
    """As `ip -o addr` tells it: also for how long an address is there, which is how a lease of DHCP shows."""
    forever = "\\       valid_lft forever preferred_lft forever"
    lease = "\\       valid_lft 81234sec preferred_lft 81234sec"
    own = f"scope global dynamic eth0{lease}" if host.leased else f"scope global eth0{forever}"
    lines = [f"1: lo    inet 127.0.0.1/8 scope host lo{forever}", f"2: eth0    inet {host.ip}/24 {own}"]
    lines += [f"2: eth0    inet {alias}/24 scope global secondary eth0{forever}" for alias in host.aliases]
    return "".join(f"{line}\n" for line in lines)


def _alias(context: Context, words: list[str]) -> Output:
    address = (words[2] if len(words) > 2 else "").partition("/")[0]
    if not address or len(words) < 5 or words[3] != "dev":
        return Output(err="Error: an inet prefix is expected.\n", code=1)
    aliases = context.host.aliases
    if words[1] == "add":
        if address in (context.host.ip, *aliases):
            return Output(err="RTNETLINK answers: File exists\n", code=2)
        aliases.append(address)
    elif address not in aliases:
        return Output(err="RTNETLINK answers: Cannot assign requested address\n", code=2)
    else:
        aliases.remove(address)
    return Output()
