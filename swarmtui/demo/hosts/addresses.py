"""Commands of the simulated hosts about addresses: `ip`, and `iptables` where it leads one address to another."""

from __future__ import annotations

import hashlib

from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host

HEALED = (1.0, 5.0)
"""Bounds of the seconds until managers that look for each other at an address find each other there."""
_NO_RULE = "iptables: Bad rule (does a matching rule exist in that chain?).\n"
_SIMULATED = "is known on a simulated host\n"


@command("ip")
async def ip(context: Context) -> Output:
    words = [word for word in context.args if not word.startswith("-")]
    host = context.host
    if words[:1] in (["addr"], ["address"], ["a"]):
        if words[1:2] in (["add"], ["del"], ["delete"]):
            return _alias(context, words)
        rest = words[2:] if words[1:2] in (["show"], ["list"], ["s"]) else words[1:]
        to = rest[1].partition("/")[0] if rest[:1] == ["to"] and len(rest) > 1 else ""
        if rest and not to and rest not in (["dev", "eth0"], ["eth0"]):
            return Output(err=f"ip: of `ip addr show' only `to ADDRESS' and `dev eth0' {_SIMULATED}", code=1)
        if "-o" in context.args or "-br" in context.args:
            return Output(out=_one_line_each(host, to))
        addresses = [address for address in (host.ip, *host.aliases) if to in ("", address)]
        return Output(
            out=(
                ""
                if to
                else "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 state UNKNOWN\n    inet 127.0.0.1/8 scope host lo\n"
            )
            + ("2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP\n" if addresses else "")
            + "".join(f"    inet {address}/{_bits(host, address)} scope global eth0\n" for address in addresses)
        )
    if words[:1] in (["route"], ["r"]):
        if words[1:2] == ["get"] and len(words) > 2:
            return Output(out=f"{words[2]} dev eth0 src {host.ip} uid 0\n    cache\n")
        gateway = host.ip.rpartition(".")[0] + ".1"
        return Output(out=f"default via {gateway} dev eth0\n")
    if words[:1] in (["neigh"], ["neighbour"], ["n"]) and words[1:2] in (["show"], ["flush"]) and words[2:3] == ["to"]:
        return Output(out=_neighbour(context, words[3]) if words[1] == "show" and len(words) > 3 else "")
    return Output(err=f'ip: of objects only "addr", "route" and "neigh" {_SIMULATED}', code=1)


def _bits(host: Host, address: str) -> str:
    return host.prefixes.get(address, "24")


def _one_line_each(host: Host, to: str) -> str:
    """As `ip -o addr` tells it: also for how long an address is there, which is how a lease of DHCP shows."""
    forever = "\\       valid_lft forever preferred_lft forever"
    lease = "\\       valid_lft 81234sec preferred_lft 81234sec"
    own = f"scope global dynamic eth0{lease}" if host.leased else f"scope global eth0{forever}"
    lines = {
        "127.0.0.1": f"1: lo    inet 127.0.0.1/8 scope host lo{forever}",
        host.ip: f"2: eth0    inet {host.ip}/24 {own}",
    }
    for alias in host.aliases:
        # One of another network, as a single address is, is no second one of the first.
        scope = "global" if _bits(host, alias) == "32" else "global secondary"
        lines[alias] = f"2: eth0    inet {alias}/{_bits(host, alias)} scope {scope} eth0{forever}"
    return "".join(f"{line}\n" for address, line in lines.items() if to in ("", address))


def _alias(context: Context, words: list[str]) -> Output:
    address, _, bits = (words[2] if len(words) > 2 else "").partition("/")
    if not address or len(words) < 5 or words[3] != "dev":
        return Output(err="Error: an inet prefix is expected.\n", code=1)
    if words[4] != "eth0":
        return Output(err=f'Cannot find device "{words[4]}"\n', code=1)
    host = context.host
    if words[1] == "add":
        if address in (host.ip, *host.aliases):
            return Output(err="RTNETLINK answers: File exists\n", code=2)
        host.aliases.append(address)
        host.prefixes[address] = bits or "32"
    elif address not in host.aliases:
        return Output(err="RTNETLINK answers: Cannot assign requested address\n", code=2)
    else:
        host.aliases.remove(address)
        host.prefixes.pop(address, None)
    context.world.network_changed(HEALED)
    return Output()


def _neighbour(context: Context, address: str) -> str:
    """Who has an address, as a host knows that has just asked for it."""
    world, own = context.world, context.host
    for host in world.hosts.values():
        if (
            address in (host.ip, *host.aliases)
            and host is not own
            and host.powered
            and world.connected(own.name, host.name)
        ):
            digest = hashlib.sha256(host.name.encode()).hexdigest()
            card = ":".join(["02", *(digest[at : at + 2] for at in range(0, 10, 2))])
            return f"{address} dev eth0 lladdr {card} REACHABLE\n"
    return f"{address} dev eth0 FAILED\n"


@command("iptables")
async def iptables(context: Context) -> Output:
    """DNAT of port 2377 in nat OUTPUT; rules that drop what comes to a port in INPUT, which `-S` shows."""
    words = [word for word in context.args if word not in ("-w", "-n")]
    if words[:2] == ["-t", "nat"]:
        return _lead(context, words[2:])
    return _drop(context, words[2:] if words[:2] == ["-t", "filter"] else words)


def _options(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=False)) if len(words) % 2 == 0 else {}


def _lead(context: Context, words: list[str]) -> Output:
    """`-A|-C|-D OUTPUT -p tcp -d ADDRESS --dport 2377 -j DNAT --to-destination ADDRESS`."""
    rule, options = words[:1], _options(words[2:])
    known = rule in (["-A"], ["-I"], ["-C"], ["-D"]) and words[1:2] == ["OUTPUT"]
    if not known or options.keys() != {"-p", "-d", "--dport", "-j", "--to-destination"} or options["-j"] != "DNAT":
        return Output(err=f"iptables: of the table nat only DNAT in OUTPUT {_SIMULATED}", code=2)
    if options["-p"] != "tcp" or options["--dport"] != "2377":
        return Output(err=f"iptables: only DNAT of tcp port 2377 {_SIMULATED}", code=2)
    old, new = options["-d"].partition("/")[0], options["--to-destination"].partition(":")[0]
    redirects = context.host.redirects
    if rule in (["-A"], ["-I"]):
        redirects[old] = new
    elif redirects.get(old) != new:
        return Output(err=_NO_RULE, code=1)
    elif rule == ["-D"]:
        del redirects[old]
    if rule != ["-C"]:
        context.world.network_changed(HEALED)
    return Output()


def _drop(context: Context, words: list[str]) -> Output:
    """`-A|-C|-D INPUT -p PROTOCOL --dport PORT -j DROP`, `-S [INPUT]`, `-F [INPUT]`."""
    blocked, rule = context.host.blocked, words[:1]
    chain = words[1:2] in ([], ["INPUT"])
    if rule == ["-S"] and chain:
        rules = (f"-A INPUT -p {port[:3]} -m {port[:3]} --dport {port[4:]} -j DROP\n" for port in sorted(blocked))
        return Output(out="-P INPUT ACCEPT\n" + "".join(rules))
    options = _options([word for at, word in enumerate(words[2:], 2) if "-m" not in (word, words[at - 1])])
    port = f"{options.get('-p', '')} {options.get('--dport', '')}"
    if rule == ["-F"] and chain and len(words) < 3:
        blocked.clear()
    elif words[1:2] != ["INPUT"] or options.keys() != {"-p", "--dport", "-j"} or options["-j"] != "DROP":
        return Output(err=f"iptables: only rules that drop what comes to a port {_SIMULATED}", code=2)
    elif rule in (["-A"], ["-I"]):
        blocked.add(port)
    elif rule not in (["-C"], ["-D"]) or port not in blocked:
        return Output(err=_NO_RULE, code=1)
    elif rule == ["-D"]:
        blocked.remove(port)
    if rule != ["-C"]:
        context.world.network_changed(HEALED)
    return Output()
