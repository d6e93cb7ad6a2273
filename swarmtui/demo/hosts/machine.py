"""Commands of the simulated hosts about the machine: memory, processors, clock, addresses."""

from __future__ import annotations

from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host


def _letters(context: Context) -> str:
    return "".join(w.lstrip("-") for w in context.args if w.startswith("-") and not w.startswith("--"))


@command("free")
async def free(context: Context) -> Output:
    letters = _letters(context)
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
