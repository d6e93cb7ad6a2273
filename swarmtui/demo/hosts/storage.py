"""Commands of the simulated hosts that look at and move files. All of it happens in memory.

The folder of a Swarm, /var/lib/docker/swarm, is the host's membership itself: moved aside with Docker stopped, the
host is in no Swarm; moved back, it is in the old one again.
"""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import replace

from swarmtui.demo.hosts import files
from swarmtui.demo.hosts.commands import Context, command
from swarmtui.demo.hosts.shell import Output
from swarmtui.demo.world.host import Host

_TOTAL, _USED = 61_255_492, 18_376_648
"""KiB of the disk, and of those that are taken."""
_SUM = 0.3
"""Seconds that a checksum takes."""
_KEPT = ("/", "/etc", "/var", "/var/lib", "/run", "/root", "/tmp")


def _split(context: Context) -> tuple[str, list[str]]:
    """The letters of the options, and the paths."""
    letters = "".join(w.lstrip("-") for w in context.args if w.startswith("-") and not w.startswith("--"))
    return letters, [_path(context, word) for word in context.args if not word.startswith("-")]


def _path(context: Context, word: str) -> str:
    return posixpath.normpath(posixpath.join(context.cwd, word))


@command("mkdir")
async def mkdir(context: Context) -> Output:
    """With -p and -m, as GNU has it: the mode is that of the last folder only."""
    args, parents, given = list(context.args), False, ""
    paths = []
    while args:
        word = args.pop(0)
        if word in ("-p", "--parents"):
            parents = True
        elif word in ("-m", "-pm") and args:
            given, parents = args.pop(0), parents or word == "-pm"
        elif word.startswith("--mode="):
            given = word[7:]
        elif word.startswith("-"):
            return Output(err=f"mkdir: invalid option -- '{word.lstrip('-')[:1]}'\n", code=1)
        else:
            paths.append(_path(context, word))
    if given and set(given) - set("01234567"):
        return Output(err=f"mkdir: invalid mode: {given!r}\n", code=1)
    mode = int(given, 8) if given else 0o777 & ~context.umask
    result = Output()
    for path in paths:
        kind = files.kind(context.host, path)
        above = files.kind(context.host, posixpath.dirname(path))
        if kind and not (parents and kind == "folder"):
            result.err += f"mkdir: cannot create directory '{path}': File exists\n"
        elif above not in ("folder", "" if parents else "folder"):
            result.err += f"mkdir: cannot create directory '{path}': No such file or directory\n"
        elif not kind:
            for at in range(1, len(path) + 1):
                if path[at : at + 1] in ("/", "") and not files.kind(context.host, path[:at]):
                    context.host.folders[path[:at]] = mode if at == len(path) else 0o777 & ~context.umask
    result.code = 1 if result.err else 0
    return result


@command("touch")
async def touch(context: Context) -> Output:
    for path in _split(context)[1]:
        if not files.kind(context.host, path):
            files.write(context.host, path, b"", now=context.world.kernel.now(), mode=0o666 & ~context.umask)
    return Output()


@command("tee")
async def tee(context: Context) -> Output:
    """Writes its input into files, and shows it."""
    letters, paths = _split(context)
    result = Output(out=context.stdin.decode("utf-8", "surrogateescape"))
    for path in paths:
        said = write(context, path, context.stdin, append="a" in letters)
        if said:
            result.err += f"tee: {path}: {said}\n"
            result.code = 1
    return result


def write(context: Context, path: str, data: bytes, *, append: bool = False) -> str:
    """Write a file for a command; returns why it could not, in the words of libc."""
    host = context.host
    if files.kind(host, posixpath.dirname(path)) != "folder":
        return "No such file or directory"
    if files.kind(host, path) not in ("", "file"):
        return "Is a directory"
    if files.busy(host, path) and path.startswith(f"{files.SWARM}/"):
        return "Device or resource busy"
    try:
        now, mode = context.world.kernel.now(), 0o666 & ~context.umask
        files.write(host, path, data, now=now, mode=mode, append=append)
    except files.NoSpaceError as error:
        return str(error)
    return ""


@command("chmod")
async def chmod(context: Context) -> Output:
    words = [word for word in context.args if not word.startswith("-")]
    bits, paths = (words[0] if words else ""), [_path(context, word) for word in words[1:]]
    if not bits or set(bits) - set("01234567"):
        return Output(err=f"chmod: invalid mode: '{bits}'\n", code=1)
    result = Output()
    for path in paths:
        kind = files.kind(context.host, path)
        if path in context.host.files:
            context.host.files[path] = replace(context.host.files[path], mode=int(bits, 8))
        elif kind == "folder" and path not in files.FOLDERS and not files.busy(context.host, path):
            context.host.folders[path] = int(bits, 8)
        elif not kind:
            result.err += f"chmod: cannot access '{path}': No such file or directory\n"
            result.code = 1
    return result


@command("sync")
async def sync(context: Context) -> Output:
    return Output()


@command("chown")
async def chown(context: Context) -> Output:
    """Remembered, and looked at by nothing but what writes as another user."""
    words = [word for word in context.args if not word.startswith("-")]
    for path in words[1:]:
        full = posixpath.normpath(posixpath.join(context.cwd, path))
        context.host.owners[full] = words[0]
    return Output()


@command("ln")
async def ln(context: Context) -> Output:
    """Symbolic links, which somebody reads with ls -l or readlink; nothing follows them."""
    letters, words = "", []
    for word in context.args:
        if word.startswith("-"):
            letters += word.lstrip("-")
        else:
            words.append(word)
    if "s" not in letters or set(letters) - set("snfT") or len(words) != 2:
        return Output(err="ln: only `ln -s[nfT] TEXT PATH' is known on a simulated host\n", code=1)
    path = _path(context, words[1])
    if files.kind(context.host, posixpath.dirname(path)) != "folder":
        return Output(err=f"ln: failed to create symbolic link '{words[1]}': No such file or directory\n", code=1)
    if files.kind(context.host, path) and not ("f" in letters and path in context.host.links):
        return Output(err=f"ln: failed to create symbolic link '{words[1]}': File exists\n", code=1)
    context.host.links[path] = words[0]
    return Output()


@command("readlink")
async def readlink(context: Context) -> Output:
    found = [context.host.links.get(path) for path in _split(context)[1]]
    return Output(out="".join(f"{text}\n" for text in found if text is not None), code=0 if all(found) else 1)


@command("rm")
async def rm(context: Context) -> Output:
    letters, paths = _split(context)
    result = Output()
    for path in paths:
        kind = files.kind(context.host, path)
        if path in _KEPT:
            result.err += f"rm: a simulated host keeps '{path}'\n"
        elif not kind and "f" not in letters:
            result.err += f"rm: cannot remove '{path}': No such file or directory\n"
        elif kind == "folder" and not set("rR") & set(letters):
            result.err += f"rm: cannot remove '{path}': Is a directory\n"
        elif kind and not files.remove(context.host, path):
            result.err += f"rm: cannot remove '{path}': Device or resource busy\n"
    result.code = 1 if result.err else 0
    return result


@command("rmdir")
async def rmdir(context: Context) -> Output:
    result = Output()
    for path in _split(context)[1]:
        begin = f"{path}/"
        inside = any(name.startswith(begin) for name in (*files.listing(context.host), *files.folders(context.host)))
        if path not in context.host.folders or inside:
            reason = "Directory not empty" if inside else "No such file or directory"
            result.err += f"rmdir: failed to remove '{path}': {reason}\n"
            result.code = 1
        else:
            del context.host.folders[path]
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
    host = context.host
    if len(paths) != 2:
        return Output(err="cp: missing destination file operand\n", code=1)
    source, target = paths
    kind = files.kind(host, source)
    if not kind:
        return Output(err=f"cp: cannot stat '{source}': No such file or directory\n", code=1)
    if kind == "folder" and not set("arR") & set(letters):
        return Output(err=f"cp: -r not specified; omitting directory '{source}'\n", code=1)
    if files.kind(host, target) == "folder":
        target = f"{target}/{source.rpartition('/')[2]}"
    if files.busy(host, target):
        return Output(err=f"cp: cannot create '{target}': Device or resource busy\n", code=1)
    for path, mode in files.folders(host).items():
        if path == source or path.startswith(f"{source}/"):
            host.folders[target + path[len(source) :]] = mode
    for path in sorted(files.listing(host)):
        if (path == source or path.startswith(f"{source}/")) and (found := files.content(host, path)) is not None:
            files.put(host, target + path[len(source) :], replace(found))
    return Output()


@command("sha256sum")
async def sha256sum(context: Context) -> Output:
    result = Output()
    await context.world.kernel.sleep(_SUM)
    for word in [word for word in context.args if not word.startswith("-")]:
        found = files.content(context.host, _path(context, word))
        if found is None:
            result.err += f"sha256sum: {word}: No such file or directory\n"
            result.code = 1
        else:
            result.out += f"{hashlib.sha256(found.whole()).hexdigest()}  {word}\n"
    return result


@command("stat")
async def stat(context: Context) -> Output:
    """With -c FORMAT of %a %A %u %g %U %G %s %n %Y %F."""
    args = list(context.args)
    form = args[1] if args[:1] in (["-c"], ["--format"]) and len(args) > 1 else ""
    if not form or not args[2:]:
        return Output(err="stat: only `stat -c FORMAT FILE…' is known on a simulated host\n", code=1)
    result = Output()
    for word in args[2:]:
        path = _path(context, word)
        kind = files.kind(context.host, path)
        if not kind:
            result.err += f"stat: cannot statx '{word}': No such file or directory\n"
            result.code = 1
            continue
        found = files.stat(context.host, path) if kind == "file" else None
        mode = files.mode(context.host, path)
        values = {
            "%a": f"{mode:o}",
            "%A": permissions(kind, mode),
            "%s": str(4096 if found is None else found.length),
            "%n": word,
            "%Y": str(int(context.host.boot if found is None or not found.mtime else found.mtime)),
            "%F": {"folder": "directory", "link": "symbolic link", "socket": "socket"}.get(kind, "regular file"),
        } | {"%u": "0", "%g": "0", "%U": "root", "%G": "root"}
        line = form
        for sign, value in values.items():
            line = line.replace(sign, value)
        result.out += f"{line}\n"
    return result


def permissions(kind: str, mode: int) -> str:
    """As ls shows them."""
    letter = {"folder": "d", "link": "l", "socket": "s"}.get(kind, "-")
    return letter + "".join(sign if mode >> 8 - at & 1 else "-" for at, sign in enumerate("rwxrwxrwx"))


@command("du")
async def du(context: Context) -> Output:
    """What files take, holes included: the log of a Swarm is preallocated."""
    letters, paths = _split(context)
    result = Output()
    total = 0
    for path in paths:
        if not files.kind(context.host, path):
            result.err += f"du: cannot access '{path}': No such file or directory\n"
            result.code = 1
            continue
        size = _taken(context.host, path)
        shown = str(-(-size // 1024))
        if "b" in letters:
            shown = str(size)
        elif "h" in letters:
            shown = f"{-(-size // (1 << 20))}M" if size > 1 << 20 else f"{-(-size // 1024)}K"
        result.out += f"{shown}\t{path}\n"
        total += size
    if "c" in letters:
        result.out += f"{total if 'b' in letters else -(-total // 1024)}\ttotal\n"
    return result


def _taken(host: Host, path: str) -> int:
    begin = f"{path.rstrip('/')}/"
    size = sum(4096 for name in files.folders(host) if name == path or name.startswith(begin))
    for name in files.listing(host):
        if name == path or name.startswith(begin):
            found = files.stat(host, name)
            size += 0 if found is None else found.length
    return max(size, 4096)


@command("df")
async def df(context: Context) -> Output:
    """One disk. With -P, -k, -B1 and --output of size, used, avail, pcent, target and source."""
    columns: list[str] = []
    unit, posix, paths = 1024, False, []
    for word in context.args:
        if word.startswith("--output="):
            columns = word[9:].split(",")
        elif word in ("-B1", "--block-size=1"):
            unit = 1
        elif word.startswith("-") and not set(word[1:]) - set("Pkh"):
            posix |= "P" in word
        elif word.startswith("-"):
            return Output(err=f"df: {word}: this option is not known on a simulated host\n", code=1)
        else:
            paths.append(word)
    missing = [path for path in paths if not files.kind(context.host, _path(context, path))]
    if missing:
        return Output(err="".join(f"df: {path}: No such file or directory\n" for path in missing), code=1)
    room = context.host.room
    free = (_TOTAL - _USED) * 1024 if room is None else room
    used = _TOTAL * 1024 - free
    values = {"source": "/dev/vda1", "size": f"{_TOTAL * 1024 // unit}", "used": f"{used // unit}"}
    values |= {"avail": f"{free // unit}", "pcent": f"{round(100 * used / (_TOTAL * 1024))}%", "target": "/"}
    blocks = ("1024-blocks" if posix else "1K-blocks") if unit == 1024 else "1B-blocks"
    titles = {"source": "Filesystem", "size": blocks, "used": "Used", "avail": "Available"}
    titles |= {"pcent": "Capacity" if posix else "Use%", "target": "Mounted on"}
    if columns:
        titles["avail"] = "Avail"
    columns = columns or ["source", "size", "used", "avail", "pcent", "target"]
    if set(columns) - set(values):
        return Output(err="df: a field of --output is not known on a simulated host\n", code=1)
    line = [values[name] for name in columns]
    rows = [[titles[name] for name in columns], *[line for _ in range(max(1, len(paths)))]]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    left = {"source", "target"}
    text = ""
    for row in rows:
        cells = [c.ljust(w) if n in left else c.rjust(w) for c, w, n in zip(row, widths, columns, strict=True)]
        text += " ".join(cells).rstrip() + "\n"
    return Output(out=text)
