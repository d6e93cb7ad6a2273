"""The shell of the simulated hosts: reads a line strictly and knows a handful of commands.

Nothing that arrives here ever reaches a real shell. What is not understood completely is refused: no variables, no
substitutions, no globs, no pipes, no background jobs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

MAX_LINE = 64 * 1024
_SPECIAL = set("|&;<>()$`\\\"' \t\n*?[]#~{}!^")


class ShellSyntaxError(ValueError):
    """The line has something that this shell does not do."""


@dataclass(slots=True)
class Output:
    """What a command wrote, and its exit status."""

    out: str = ""
    err: str = ""
    code: int = 0


@dataclass(slots=True)
class Simple:
    """One command: its words, where its output goes, and how it hangs together with the one before.

    Attributes:
        joint: `;`, `&&` or `||`, which stood before it.
        targets: file descriptor → `/dev/null`, or `&1` / `&2` for the place of another.
        env: assignments before the command.
    """

    words: list[str]
    joint: str = ";"
    targets: dict[int, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


def parse(line: str) -> list[Simple]:
    """Read a command line.

    Raises:
        ShellSyntaxError: it has more than words, quotes, `;`, `&&`, `||`, assignments and simple redirections.
    """
    if len(line) > MAX_LINE:
        raise ShellSyntaxError("line too long")
    if "\0" in line:
        raise ShellSyntaxError("NUL in the line")
    commands = [Simple([])]
    for kind, text in _tokens(line):
        now = commands[-1]
        if kind == "joint":
            if not now.words:
                raise ShellSyntaxError(f"syntax error near unexpected token `{text}'")
            commands.append(Simple([], text))
        elif kind == "redirect":
            descriptor, _, target = text.partition(" ")
            now.targets[int(descriptor)] = target
        elif kind == "bare" and not now.words and _assignment(text):
            name, _, value = text.partition("=")
            now.env[name] = value
        else:
            now.words.append(text)
    if not commands[-1].words and len(commands) > 1:
        if commands[-1].joint != ";":
            raise ShellSyntaxError("syntax error: unexpected end of line")
        commands.pop()
    return [command for command in commands if command.words]


def _assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _tokens(line: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(line):
        char = line[at]
        if char in " \t":
            at += 1
        elif char == "\n" or char == ";":
            if tokens and tokens[-1][0] != "joint":
                tokens.append(("joint", ";"))
            elif char == ";":
                raise ShellSyntaxError("syntax error near unexpected token `;'")
            at += 1
        elif line.startswith(("&&", "||"), at):
            tokens.append(("joint", line[at : at + 2]))
            at += 2
        elif (redirect := _redirect(line, at)) is not None:
            text, at = redirect
            tokens.append(("redirect", text))
        else:
            kind, word, at = _word(line, at)
            tokens.append((kind, word))
    return tokens


def _redirect(line: str, at: int) -> tuple[str, int] | None:
    for begin, descriptor in (("2>", 2), ("1>", 1), (">", 1), ("<", 0)):
        if not line.startswith(begin, at):
            continue
        rest = at + len(begin)
        if line.startswith("&1", rest) or line.startswith("&2", rest):
            return f"{descriptor} {line[rest : rest + 2]}", rest + 2
        while line[rest : rest + 1] == " ":
            rest += 1
        if line.startswith("/dev/null", rest):
            return f"{descriptor} /dev/null", rest + len("/dev/null")
        raise ShellSyntaxError("redirections to files are not supported here")
    return None


def _word(line: str, at: int) -> tuple[str, str, int]:
    text: list[str] = []
    kind = "bare"
    begin = at
    while at < len(line):
        char = line[at]
        if char == "'":
            end = line.find("'", at + 1)
            if end < 0:
                raise ShellSyntaxError("unexpected EOF while looking for matching `''")
            text.append(line[at + 1 : end])
            kind, at = _quoted(kind, text), end + 1
        elif char == '"':
            part, at = _double(line, at + 1)
            text.append(part)
            kind = _quoted(kind, text)
        elif char == "\\":
            if at + 1 >= len(line) or line[at + 1] == "\n":
                raise ShellSyntaxError("line continuation is not supported here")
            text.append(line[at + 1])
            kind, at = "word", at + 2
        elif char in " \t\n;" or char in "&|" or char in "<>":
            break
        elif char in _SPECIAL:
            alone = line[at + 1 : at + 2] in ("", " ", "\t", ";")
            if (char in "#~" and at > begin) or char in "{}!^" or (char in "[]" and alone and at == begin):
                text.append(char)
                at += 1
                continue
            raise ShellSyntaxError(f"`{char}' is not supported here")
        else:
            text.append(char)
            at += 1
    if at == begin:
        raise ShellSyntaxError(f"`{line[at]}' is not supported here")
    return kind, "".join(text), at


def _quoted(kind: str, text: list[str]) -> str:
    """A word with a quote in it is still an assignment if the name before the `=` was bare."""
    return kind if "=" in "".join(text[:-1]) else "word"


def _double(line: str, at: int) -> tuple[str, int]:
    text: list[str] = []
    while at < len(line):
        char = line[at]
        if char == '"':
            return "".join(text), at + 1
        if char == "\\" and line[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            text.append(line[at + 1])
            at += 2
            continue
        if char in "$`":
            raise ShellSyntaxError(f"`{char}' is not supported here")
        text.append(char)
        at += 1
    raise ShellSyntaxError("unexpected EOF while looking for matching `\"'")


Runner = Callable[[list[str], dict[str, str], bytes], Awaitable[Output]]


async def execute(line: str, run: Runner, stdin: bytes = b"") -> Output:
    """Run a line, command by command.

    Args:
        run: runs one command: its words, its extra environment, and its input.
    """
    try:
        commands = parse(line)
    except ShellSyntaxError as error:
        return Output(err=f"sh: 1: {error}\n", code=2)
    total = Output()
    for command in commands:
        if command.joint == "&&" and total.code != 0:
            continue
        if command.joint == "||" and total.code == 0:
            continue
        given = b"" if command.targets.get(0) else stdin
        result = await run(command.words, command.env, given)
        _write(total, command, result)
        total.code = result.code
    return total


def _write(total: Output, command: Simple, result: Output) -> None:
    streams = {1: result.out, 2: result.err}
    places: dict[int, str] = {1: "out", 2: "err"}
    for descriptor, target in command.targets.items():
        if descriptor in places:
            places[descriptor] = "" if target == "/dev/null" else places[int(target[1])] if target[0] == "&" else ""
    for descriptor, text in streams.items():
        if places[descriptor] == "out":
            total.out += text
        elif places[descriptor] == "err":
            total.err += text
