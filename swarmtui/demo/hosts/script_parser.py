"""Reads scripts for the shell of the simulated hosts: the part of POSIX sh that jobs on hosts are written in.

Strict: background jobs, globs of files, here-documents and the finer expansions are refused.
"""

from __future__ import annotations

from collections.abc import Callable

from swarmtui.demo.hosts.script_reader import Reader
from swarmtui.demo.hosts.script_tree import (
    Block,
    Case,
    Chain,
    Command,
    For,
    Function,
    Group,
    If,
    Pipe,
    Redirect,
    Simple,
    Subshell,
    Text,
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


class _Parser(Reader):
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
            return self._piped(), True
        return self._piped(), False

    def _piped(self) -> Command:
        parts = [self._command()]
        while True:
            self.skip()
            if self.peek() != "|" or self.peek(2) == "||":
                return parts[0] if len(parts) == 1 else Pipe(parts)
            self.at += 1
            self.skip(lines=True)
            parts.append(self._command())

    def _command(self) -> Command:
        word = self.keyword()
        if word == "{":
            return self._group()
        if self.peek() == "(":
            return self._subshell()
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

    def _subshell(self) -> Subshell:
        self.at += 1
        body = self.block(lambda: self.peek() == ")" or self.at_end())
        if self.peek() != ")" or not body.chains:
            raise self.refuse(self.peek())
        self.at += 1
        subshell = Subshell(body)
        while (redirect := self._redirect()) is not None:
            subshell.redirects.append(redirect)
        return subshell

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

    def _simple(self) -> Command:
        command = Simple()
        while True:
            self.skip()
            if self.at_end() or self.peek() in "\n;)|" or self.peek(2) == "&&":
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
