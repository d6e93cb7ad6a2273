"""Commands of the simulated hosts that look at files."""

from __future__ import annotations

import posixpath
import re
from datetime import UTC, datetime

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.hosts.storage import permissions

_NUMBERS = {
    "-eq": int.__eq__,
    "-ne": int.__ne__,
    "-lt": int.__lt__,
    "-le": int.__le__,
    "-gt": int.__gt__,
    "-ge": int.__ge__,
}


def _path(context: Context, word: str) -> str:
    return posixpath.normpath(posixpath.join(context.cwd, word))


def _letters(context: Context) -> str:
    return "".join(word.lstrip("-") for word in context.args if word.startswith("-"))


@command("test", "[")
async def test(context: Context) -> Output:
    """Of one thing: `-X PATH`, `-n TEXT`, `TEXT = TEXT`, `NUMBER -eq NUMBER`."""
    args = context.args[:-1] if context.args[-1:] == ["]"] else context.args
    wanted = True
    if args[:1] == ["!"]:
        wanted, args = False, args[1:]
    if len(args) == 3 and args[1] in ("=", "!=", *_NUMBERS):
        first, sign, second = args
        if sign in ("=", "!="):
            return Output(code=0 if ((first == second) == (sign == "=")) == wanted else 1)
        if not all(re.fullmatch(r"-?\d+", word) for word in (first, second)):
            return Output(err=f"test: Illegal number: {first}\n", code=2)
        return Output(code=0 if _NUMBERS[sign](int(first), int(second)) == wanted else 1)
    if len(args) != 2:
        return Output(err="test: only `test -X PATH' is supported here\n", code=2)
    path = _path(context, args[1]) if args[1] else ""
    kind = files.kind(context.host, path) if path else ""
    found = files.stat(context.host, path) if kind == "file" else None
    tests = {
        "-e": bool(kind),
        "-S": kind == "socket",
        "-L": kind == "link",
        "-h": kind == "link",
        "-f": kind == "file",
        "-d": kind == "folder",
        "-r": bool(kind),
        "-w": bool(kind),
        "-x": kind == "folder",
        "-s": found is not None and found.length > 0,
        "-n": bool(args[1]),
        "-z": not args[1],
    }
    if args[0] not in tests:
        return Output(err=f"test: {args[0]}: unary operator expected\n", code=2)
    return Output(code=0 if tests[args[0]] == wanted else 1)


@command("cat")
async def cat(context: Context) -> Output:
    result = Output()
    if not context.args:
        result.out = context.stdin.decode("utf-8", "surrogateescape")
    for word in context.args:
        path = _path(context, word)
        text = files.read(context.host, path, context.world.kernel.now())
        if text is not None:
            result.out += text
        else:
            reason = "Is a directory" if files.kind(context.host, path) == "folder" else "No such file or directory"
            result.err += f"cat: {word}: {reason}\n"
            result.code = 1
    return result


@command("head", "tail")
async def part(context: Context) -> Output:
    """`-n NUMBER` or `-c NUMBER`, of `head`; of `tail` also `-c +NUMBER`, from that byte on."""
    args, unit, number = list(context.args), "n", "10"
    if args and args[0] in ("-n", "-c") and len(args) > 1:
        unit, number, args = args[0][1], args[1], args[2:]
    elif args and re.fullmatch(r"-[nc]\+?\d+", args[0]):
        unit, number, args = args[0][1], args[0][2:], args[1:]
    if not re.fullmatch(r"\+?\d+", number) or any(word.startswith("-") for word in args):
        return Output(err="head: only `-n NUMBER FILE…' and `-c NUMBER FILE…' are known on a simulated host\n", code=1)
    result = Output()
    data = context.stdin
    for word in args[:1]:
        found = files.content(context.host, _path(context, word), context.world.kernel.now())
        if found is None:
            return Output(err=f"head: cannot open '{word}' for reading: No such file or directory\n", code=1)
        data = found.whole()
    pieces = data.splitlines(keepends=True) if unit == "n" else None
    size = len(data) if pieces is None else len(pieces)
    count = int(number.lstrip("+"))
    first, last = 0, size
    if number.startswith("+"):
        first = max(count - 1, 0)
    elif context.name == "head":
        last = min(count, size)
    else:
        first = max(size - count, 0)
    shown = data[first:last] if pieces is None else b"".join(pieces[first:last])
    result.out = shown.decode("utf-8", "surrogateescape")
    return result


@command("wc")
async def wc(context: Context) -> Output:
    """`-c` or `-l`, of a file or of what comes in."""
    letters = _letters(context)
    words = [word for word in context.args if not word.startswith("-")]
    if letters not in ("c", "l") or len(words) > 1:
        return Output(err="wc: only `wc -c' and `wc -l' are known on a simulated host\n", code=1)
    data = context.stdin
    if words:
        found = files.content(context.host, _path(context, words[0]), context.world.kernel.now())
        if found is None:
            return Output(err=f"wc: {words[0]}: No such file or directory\n", code=1)
        data = found.whole()
    count = len(data) if letters == "c" else data.count(b"\n")
    return Output(out=f"{count} {words[0]}\n" if words else f"{count}\n")


@command("ls")
async def ls(context: Context) -> Output:
    result = Output()
    host, long = context.host, "l" in _letters(context)
    for word in [word for word in context.args if not word.startswith("-")] or ["."]:
        path = _path(context, word)
        kind = files.kind(host, path)
        if not kind:
            result.err += f"ls: cannot access '{word}': No such file or directory\n"
            result.code = 2
        elif kind == "folder" and "d" not in _letters(context):
            begin = path.rstrip("/") + "/"
            paths = {*files.listing(host), *(set(files.folders(host)) - set(files.FOLDERS))}
            names = {path[len(begin) :].partition("/")[0] for path in paths if path.startswith(begin)}
            result.out += f"total {4 * len(names)}\n" if long else ""
            result.out += "".join(_line(context, begin + name, name, long=long) for name in sorted(names))
        else:
            result.out += _line(context, path, word, long=long)
    return result


def _line(context: Context, path: str, name: str, *, long: bool) -> str:
    if not long:
        return f"{name}\n"
    host = context.host
    kind = files.kind(host, path)
    found = files.stat(host, path) if kind == "file" else None
    text = host.links.get(path, "")
    size = len(text.encode()) if kind == "link" else 4096 if found is None else found.length
    mode = 0o777 if kind == "link" else files.mode(host, path)
    when = found.mtime if found is not None and found.mtime else host.boot
    stamp = datetime.fromtimestamp(when, UTC).strftime("%b %e %H:%M")
    shown = f"{name} -> {text}" if kind == "link" else name
    return f"{permissions(kind, mode)} 1 root root {size} {stamp} {shown}\n"


@command("grep")
async def grep(context: Context) -> Output:
    """Only patterns in which nothing but `.`, `^` and `$` is special."""
    letters = _letters(context)
    pattern, *paths = [word for word in context.args if not word.startswith("-")] or [""]
    fixed = "F" in letters
    if not pattern or not paths or set(letters) - set("cqivFEs") or (not fixed and set(pattern) & set("*[]\\+?(){}|")):
        return Output(err="grep: this is not supported on a simulated host\n", code=2)
    quoted = re.escape(pattern) if fixed else "".join(c if c in ".^$" else re.escape(c) for c in pattern)
    wanted = re.compile(quoted, re.IGNORECASE if "i" in letters else 0)
    result = Output(code=1)
    for path in paths:
        text = files.read(context.host, _path(context, path), context.world.kernel.now())
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
