"""Commands of the simulated hosts that are not docker."""

from __future__ import annotations

import posixpath

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.commands import COMMANDS, Context, command
from swarmtui.demo.hosts.shell import Output


@command("true", ":")
async def true(context: Context) -> Output:
    return Output()


@command("false")
async def false(context: Context) -> Output:
    return Output(code=1)


@command("echo")
async def echo(context: Context) -> Output:
    args = context.args
    end = "\n"
    if args and args[0] == "-n":
        args, end = args[1:], ""
    return Output(out=" ".join(args) + end)


@command("printf")
async def printf(context: Context) -> Output:
    if not context.args:
        return Output(err="printf: usage: printf format [arguments]\n", code=2)
    text = context.args[0].replace("\\n", "\n")
    for value in context.args[1:]:
        text = text.replace("%s", value, 1)
    return Output(out=text)


@command("hostname")
async def hostname(context: Context) -> Output:
    if context.args == ["-I"]:
        return Output(out=f"{context.host.ip} \n")
    return Output(out=f"{context.host.name}\n")


@command("whoami")
async def whoami(context: Context) -> Output:
    return Output(out="root\n")


@command("id")
async def identity(context: Context) -> Output:
    simple = {"-u": "0\n", "-un": "root\n", "-nG": "root docker\n", "-Gn": "root docker\n", "-g": "0\n"}
    if not context.args:
        return Output(out="uid=0(root) gid=0(root) groups=0(root),998(docker)\n")
    if context.args[0] in simple:
        return Output(out=simple[context.args[0]])
    return Output(err=f"id: invalid option -- '{context.args[0]}'\n", code=1)


@command("date")
async def date(context: Context) -> Output:
    now = context.world.kernel.now() + context.host.clock_offset
    if not context.args:
        return Output(out=f"{_date(now)}\n")
    if context.args == ["+%s"]:
        return Output(out=f"{int(now)}\n")
    if context.args in (["+%s.%N"], ["+%s%N"]):
        dot = "." if "." in context.args[0] else ""
        return Output(out=f"{int(now)}{dot}{int(now % 1 * 1e9):09d}\n")
    return Output(err="date: setting the date or this format is not supported on a simulated host\n", code=1)


def _date(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%a %b %e %H:%M:%S UTC %Y")


@command("uptime")
async def uptime(context: Context) -> Output:
    minutes = int((context.world.kernel.now() - context.host.boot) // 60)
    return Output(out=f" up {minutes // 60}:{minutes % 60:02d},  1 user,  load average: 0.21, 0.18, 0.11\n")


@command("uname")
async def uname(context: Context) -> Output:
    if "-m" in context.args:
        return Output(out="x86_64\n")
    if "-r" in context.args:
        return Output(out="6.1.0-28-amd64\n")
    if "-n" in context.args:
        return Output(out=f"{context.host.name}\n")
    return Output(out="Linux\n")


@command("openssl")
async def openssl(context: Context) -> Output:
    args = list(context.args)
    path = args[args.index("-in") + 1] if "-in" in args[:-1] else ""
    text = files.read(context.host, posixpath.join(context.cwd, path)) if path else None
    if args[:1] != ["x509"] or text is None:
        return Output(err="openssl: only `x509 -noout … -in FILE' is supported on a simulated host\n", code=1)
    lines = [line for flag, line in files.certificate_lines(text) if flag in args]
    return Output(out="".join(f"{line}\n" for line in lines))


@command("command", "which", "type")
async def which(context: Context) -> Output:
    names = [word for word in context.args if not word.startswith("-")]
    found = [name for name in names if name in COMMANDS]
    code = 0 if names and len(found) == len(names) else 1
    return Output(out="".join(f"/usr/bin/{name}\n" for name in found), code=code)


@command("sleep")
async def sleep(context: Context) -> Output:
    text = context.args[0] if context.args else ""
    if not text.replace(".", "", 1).isdigit() or float(text) > 3600:
        return Output(err=f"sleep: invalid time interval '{text}'\n", code=1)
    await context.world.kernel.sleep(float(text))
    return Output()
