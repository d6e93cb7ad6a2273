"""Reads the words of scripts for the shell of the simulated hosts: quotes, variables, substitutions, sums."""

from __future__ import annotations

from collections.abc import Callable

from swarmtui.demo.hosts.script_tree import Arithmetic, Block, Part, Substitution, Text, Variable, Word
from swarmtui.demo.hosts.shell import ShellSyntaxError


class Reader:
    """The text of a script, and where in it one is."""

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

    def block(self, ended: Callable[[], bool]) -> Block:
        """What is in a substitution; the parser of whole scripts knows."""
        raise NotImplementedError

    def _name(self) -> str:
        begin = self.at
        while not self.at_end() and (self.peek().isalnum() or self.peek() == "_"):
            self.at += 1
        name = self.text[begin : self.at]
        if not name.isidentifier() or not name.isascii():
            raise self.refuse(self.peek())
        return name

    def _word(self, *, pattern: bool = False) -> Word:
        parts: list[Part] = []
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
                special = char == "`" or (char in "*?" and not (pattern or self._in_path(begin)))
                if special or (char in "~#[" and self.at == begin and not lone):
                    raise self.refuse(char)
                parts.append(Text(char, False))
                self.at += 1
        if self.at == begin:
            raise self.refuse(self.peek())
        return tuple(parts)

    def _in_path(self, begin: int) -> bool:
        """Is this word an absolute path? Only there names are filled in."""
        return self.text[begin : begin + 1] == "/"

    def _double(self, parts: list[Part]) -> None:
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

    def _dollar(self, *, quoted: bool) -> Part:
        self.at += 1
        char = self.peek()
        if self.peek(2) == "((":
            end = self.text.find("))", self.at)
            if end < 0:
                raise self.refuse("$((")
            text, self.at = self.text[self.at + 2 : end], end + 2
            return Arithmetic(text, quoted)
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
        default = ""
        if braced:
            if self.peek(2) == ":-" and (end := self.text.find("}", self.at)) > 0:
                default, self.at = self.text[self.at + 2 : end], end
            if self.peek() != "}" or set(default) & set("$`\"'\\"):
                raise self.refuse(f"${{{name}{self.peek()}")
            self.at += 1
        return Variable(name, quoted, default)
