"""Commands of the simulated hosts that are not docker."""

from __future__ import annotations

import re

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


@command("test", "[")
async def test(context: Context) -> Output:
    args = [word for word in context.args if word != "]"]
    wanted = True
    if args[:1] == ["!"]:
        wanted, args = False, args[1:]
    if len(args) != 2:
        return Output(err="test: only `test -X PATH' is supported here\n", code=2)
    kind = files.kind(context.host, args[1])
    tests = {
        "-e": bool(kind),
        "-S": kind == "socket",
        "-f": kind == "file",
        "-d": kind == "folder",
        "-r": bool(kind),
        "-w": bool(kind),
        "-x": kind == "folder",
        "-s": kind == "file",
        "-n": bool(args[1]),
        "-z": not args[1],
    }
    if args[0] not in tests:
        return Output(err=f"test: {args[0]}: unary operator expected\n", code=2)
    return Output(code=0 if tests[args[0]] == wanted else 1)


@command("cat")
async def cat(context: Context) -> Output:
    result = Output()
    for path in context.args:
        text = files.read(context.host, path, context.world.kernel.now())
        if text is not None:
            result.out += text
        else:
            kind = files.kind(context.host, path)
            reason = "Is a directory" if kind == "folder" else "No such file or directory"
            result.err += f"cat: {path}: {reason}\n"
            result.code = 1
    return result


@command("ls")
async def ls(context: Context) -> Output:
    result = Output()
    for path in [word for word in context.args if not word.startswith("-")] or ["/root"]:
        kind = files.kind(context.host, path)
        if not kind:
            result.err += f"ls: cannot access '{path}': No such file or directory\n"
            result.code = 2
        elif kind == "folder":
            begin = path.rstrip("/") + "/"
            paths = files.listing(context.host)
            names = {path[len(begin) :].partition("/")[0] for path in paths if path.startswith(begin)}
            result.out += "".join(f"{name}\n" for name in sorted(names))
        else:
            result.out += f"{path}\n"
    return result


@command("openssl")
async def openssl(context: Context) -> Output:
    args = list(context.args)
    path = args[args.index("-in") + 1] if "-in" in args[:-1] else ""
    text = files.read(context.host, path) if path else None
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


@command("grep")
async def grep(context: Context) -> Output:
    """Only patterns in which nothing but `.`, `^` and `$` is special."""
    letters = "".join(word.lstrip("-") for word in context.args if word.startswith("-"))
    pattern, *paths = [word for word in context.args if not word.startswith("-")] or [""]
    fixed = "F" in letters
    if not pattern or not paths or set(letters) - set("cqivFEs") or (not fixed and set(pattern) & set("*[]\\+?(){}|")):
        return Output(err="grep: this is not supported on a simulated host\n", code=2)
    quoted = re.escape(pattern) if fixed else "".join(c if c in ".^$" else re.escape(c) for c in pattern)
    wanted = re.compile(quoted, re.IGNORECASE if "i" in letters else 0)
    result = Output(code=1)
    for path in paths:
        text = files.read(context.host, path)
        if text is None:
            result.err += "" if "s" in letters else f"grep: {path}: No such file or directory\n"
            result.code = 2
            continue
        found = [line for line in text.splitlines() if (wanted.search(line) is None) == ("v" in letters)]
        result.code = 0 if found and result.code != 2 else result.code
        before = f"{path}:" if len(paths) > 1 else ""
        if "c" in letters:
            result.out += f"{before}{len(found)}\n"
        elif "q" not in letters:
            result.out += "".join(f"{before}{line}\n" for line in found)
    return result
