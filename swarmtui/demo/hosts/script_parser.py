"""Reads scripts for the shell of the simulated hosts: the part of POSIX sh that jobs on hosts are written in.

Strict: pipes, background jobs, subshells, globs, arithmetic, here-documents and the finer expansions are refused.
"""

from __future__ import annotations

from collections.abc import Callable

from swarmtui.demo.hosts.script_tree import (
    Block,
    Case,
    Chain,
    Command,
    For,
    Function,
    Group,
    If,
    Redirect,
    Simple,
    Substitution,
    Text,
    Variable,
    While,
    Word,
)
from swarmtui.demo.hosts.shell import ShellSyntaxError

MAX_SCRIPT = 256 * 1024
_DEPTH = 32
_RESERVED = {
    "if",
    "then",
    "elif",
    "else",
    "fi",
    "while",
    "until",
    "do",
    "done",
    "for",
    "in",
    "case",
    "esac",
    "{",
    "}",
    "!",
}


def parse(text: str) -> Block:
    """Read a script.

    Raises:
        ShellSyntaxError: it has more than is known here.
    """
    if len(text) > MAX_SCRIPT:
        raise ShellSyntaxError("script too long")
    if "\0" in text:
        raise ShellSyntaxError("NUL in the script")
    parser = _Parser(text)
    block = parser.block(lambda: parser.at_end())
    parser.skip(lines=True)
    if not parser.at_end():
        raise parser.refuse(parser.peek())
    return block


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def refuse(self, what: str) -> ShellSyntaxError:
        line = self.text.count("\n", 0, self.at) + 1
        shown = "end of file" if not what else f"`{what}'"
        return ShellSyntaxError(f"line {line}: {shown} is not supported here")

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def at_end(self) -> bool:
        return self.at >= len(self.text)

    def skip(self, *, lines: bool = False) -> None:
        """Blanks and comments; with `lines`, also ends of lines."""
        while not self.at_end():
            if self.peek() in (" ", "\t") or (lines and self.peek() == "\n"):
                self.at += 1
            elif self.peek(2) == "\\\n":
                self.at += 2
            elif self.peek() == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def keyword(self) -> str:
        """The reserved word that stands here; nothing else."""
        self.skip(lines=True)
        for word in _RESERVED:
            after = self.text[self.at + len(word) : self.at + len(word) + 1]
            if self.text.startswith(word, self.at) and (after in " \t\n;)" or not after):
                return word
        return ""

    def expect(self, word: str) -> None:
        if self.keyword() != word:
            raise self.refuse(self.peek())
        self.at += len(word)

    def block(self, ended: Callable[[], bool]) -> Block:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ShellSyntaxError("nested too deeply")
        chains = []
        while True:
            self.skip(lines=True)
            if ended():
                break
            chains.append(self._chain())
            self.skip()
            if self.peek() == ";" and self.peek(2) != ";;":
                self.at += 1
            elif self.peek() not in ("\n", "") and not ended():
                raise self.refuse(self.peek())
        self.depth -= 1
        return Block(chains)

    def _until(self, *words: str) -> Block:
        block = self.block(lambda: self.keyword() in words or self.at_end())
        if not block.chains:
            raise self.refuse(self.peek())
        return block

    def _chain(self) -> Chain:
        commands = [("", *self._negated())]
        while True:
            self.skip()
            joint = self.peek(2)
            if joint not in ("&&", "||"):
                return Chain(commands)
            self.at += 2
            self.skip(lines=True)
            commands.append((joint, *self._negated()))

    def _negated(self) -> tuple[Command, bool]:
        if self.keyword() == "!":
            self.at += 1
            return self._command(), True
        return self._command(), False

    def _command(self) -> Command:
        word = self.keyword()
        if word == "{":
            return self._group()
        if word == "if":
            return self._if()
        if word in ("while", "until"):
            self.at += len(word)
            condition = self._until("do")
            return While(condition, self._do(), word == "until")
        if word == "for":
            return self._for()
        if word == "case":
            return self._case()
        if word:
            raise self.refuse(word)
        return self._simple()

    def _group(self) -> Group:
        self.expect("{")
        body = self._until("}")
        self.expect("}")
        group = Group(body)
        while (redirect := self._redirect()) is not None:
            group.redirects.append(redirect)
        return group

    def _if(self) -> If:
        self.expect("if")
        branches = []
        while True:
            condition = self._until("then")
            self.expect("then")
            branches.append((condition, self._until("elif", "else", "fi")))
            if self.keyword() != "elif":
                break
            self.expect("elif")
        otherwise = None
        if self.keyword() == "else":
            self.expect("else")
            otherwise = self._until("fi")
        self.expect("fi")
        return If(branches, otherwise)

    def _do(self) -> Block:
        self.expect("do")
        body = self._until("done")
        self.expect("done")
        return body

    def _for(self) -> For:
        self.expect("for")
        self.skip()
        name = self._name()
        self.expect("in")
        words = []
        self.skip()
        while self.peek() not in ("\n", ";", ""):
            words.append(self._word())
            self.skip()
        self.at += 1
        return For(name, words, self._do())

    def _case(self) -> Case:
        self.expect("case")
        self.skip()
        word = self._word()
        self.expect("in")
        branches = []
        while self.keyword() != "esac":
            patterns = [self._word(pattern=True)]
            self.skip()
            while self.peek() == "|":
                self.at += 1
                self.skip()
                patterns.append(self._word(pattern=True))
                self.skip()
            if self.peek() != ")":
                raise self.refuse(self.peek())
            self.at += 1
            body = self.block(lambda: self.peek(2) == ";;" or self.keyword() == "esac" or self.at_end())
            if self.peek(2) == ";;":
                self.at += 2
            branches.append((patterns, body))
        self.expect("esac")
        return Case(word, branches)

    def _name(self) -> str:
        begin = self.at
        while not self.at_end() and (self.peek().isalnum() or self.peek() == "_"):
            self.at += 1
        name = self.text[begin : self.at]
        if not name.isidentifier() or not name.isascii():
            raise self.refuse(self.peek())
        return name

    def _simple(self) -> Command:
        command = Simple()
        while True:
            self.skip()
            if self.at_end() or self.peek() in "\n;)" or self.peek(2) in ("&&", "||"):
                break
            redirect = self._redirect()
            if redirect is not None:
                command.redirects.append(redirect)
                continue
            begin = self.at
            if not command.words and (assigned := self._assignment()) is not None:
                command.assignments.append(assigned)
                continue
            word = self._word()
            if self.peek(2) == "()" and not command.words and not command.redirects:
                name = self.text[begin : self.at]
                if not name.isidentifier():
                    raise self.refuse(name)
                self.at += 2
                return Function(name, self._group())
            command.words.append(word)
        if not (command.words or command.assignments or command.redirects):
            raise self.refuse(self.peek())
        return command

    def _assignment(self) -> tuple[str, Word] | None:
        end = self.at
        while end < len(self.text) and (self.text[end].isalnum() or self.text[end] == "_"):
            end += 1
        name = self.text[self.at : end]
        if self.text[end : end + 1] != "=" or not name.isidentifier():
            return None
        self.at = end + 1
        if self.at_end() or self.peek() in " \t\n;)":
            return name, ()
        return name, self._word()

    def _redirect(self) -> Redirect | None:
        self.skip()
        at = self.at
        descriptor = -1
        if self.peek() in ("0", "1", "2") and self.text[at + 1 : at + 2] in ("<", ">"):
            descriptor = int(self.peek())
            at += 1
        sign = next(
            (sign for sign in ("<<", ">>", ">&", "<&", "<>", ">|", ">", "<") if self.text.startswith(sign, at)), ""
        )
        if not sign:
            return None
        self.at = at + len(sign)
        if sign not in (">", ">>", "<", ">&"):
            raise self.refuse(sign)
        self.skip()
        target = self._word()
        if sign == ">&" and target not in ((Text("1", False),), (Text("2", False),)):
            raise self.refuse(">&")
        default = 0 if sign == "<" else 1
        return Redirect(default if descriptor < 0 else descriptor, sign, target)

    def _word(self, *, pattern: bool = False) -> Word:
        parts: list[Text | Variable | Substitution] = []
        begin = self.at
        while not self.at_end():
            char = self.peek()
            if char == "'":
                end = self.text.find("'", self.at + 1)
                if end < 0:
                    raise ShellSyntaxError("unexpected EOF while looking for matching `''")
                parts.append(Text(self.text[self.at + 1 : end], True))
                self.at = end + 1
            elif char == '"':
                self._double(parts)
            elif char == "\\":
                if self.peek(2) in ("\\", "\\\n"):
                    raise self.refuse("\\")
                parts.append(Text(self.text[self.at + 1], True))
                self.at += 2
            elif char == "$":
                parts.append(self._dollar(quoted=False))
            elif char in " \t\n;&|<>()":
                break
            else:
                lone = char == "[" and self.at == begin and self.text[self.at + 1 : self.at + 2] in (" ", "\t")
                whole = pattern and char == "*" and self.text[self.at + 1 : self.at + 2] == ")"
                special = char in "`*?" or (char in "~#[" and self.at == begin)
                if special and not (lone or whole):
                    raise self.refuse(char)
                parts.append(Text(char, False))
                self.at += 1
        if self.at == begin:
            raise self.refuse(self.peek())
        return tuple(parts)

    def _double(self, parts: list[Text | Variable | Substitution]) -> None:
        self.at += 1
        parts.append(Text("", True))
        while not self.at_end():
            char = self.peek()
            if char == '"':
                self.at += 1
                return
            if char == "$":
                parts.append(self._dollar(quoted=True))
            elif char == "`":
                raise self.refuse(char)
            else:
                if char == "\\" and self.text[self.at + 1 : self.at + 2] in ('"', "\\", "$", "`"):
                    self.at += 1
                    char = self.peek()
                parts.append(Text(char, True))
                self.at += 1
        raise ShellSyntaxError("unexpected EOF while looking for matching `\"'")

    def _dollar(self, *, quoted: bool) -> Variable | Substitution:
        self.at += 1
        char = self.peek()
        if self.peek(2) == "((":
            raise self.refuse("$((")
        if char == "(":
            self.at += 1
            body = self.block(lambda: self.peek() == ")" or self.at_end())
            if self.peek() != ")":
                raise self.refuse("")
            self.at += 1
            return Substitution(body, quoted)
        if char and char in "?*#$123456789":
            self.at += 1
            return Variable(char, quoted)
        braced = char == "{"
        self.at += braced
        name = self._name()
        if braced:
            if self.peek() != "}":
                raise self.refuse(f"${{{name}{self.peek()}")
            self.at += 1
        return Variable(name, quoted)
