"""What a script for the shell of the simulated hosts is made of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Text:
    """Letters as they stand."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`, `$1`, `$?`, `$*`, `$#`, `$$`; `${name:-default}` with what stands in for nothing."""

    name: str
    quoted: bool
    default: str = ""


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(…)`."""

    body: Block
    quoted: bool


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`$((…))` of whole numbers."""

    text: str
    quoted: bool


Part = Text | Variable | Substitution | Arithmetic
Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    """`sign` is `>`, `>>`, `<` or `>&`."""

    descriptor: int
    sign: str
    target: Word


@dataclass(slots=True)
class Simple:
    """A command with its words."""

    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """`{ …; }`."""

    body: Block
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(slots=True)
class If:
    """`if`, with its conditions and what follows from each."""

    branches: list[tuple[Block, Block]]
    otherwise: Block | None


@dataclass(slots=True)
class While:
    """`while`, or `until`."""

    condition: Block
    body: Block
    until: bool


@dataclass(slots=True)
class For:
    """`for NAME in WORD…`."""

    name: str
    words: list[Word]
    body: Block


@dataclass(slots=True)
class Case:
    """`case`, with plain patterns."""

    word: Word
    branches: list[tuple[list[Word], Block]]


@dataclass(slots=True)
class Function:
    """`name() { …; }`."""

    name: str
    body: Group


@dataclass(slots=True)
class Subshell:
    """`( …; )`: what it sets is forgotten."""

    body: Block
    redirects: list[Redirect] = field(default_factory=list)


@dataclass(slots=True)
class Pipe:
    """Commands of which each reads what the one before wrote."""

    parts: list[Command]


Command = Simple | Group | Subshell | Pipe | If | While | For | Case | Function


@dataclass(slots=True)
class Chain:
    """Commands joined by `&&` and `||`; `denied` are those after a `!`."""

    commands: list[tuple[str, Command, bool]]


@dataclass(slots=True)
class Block:
    """Chains, one after the other."""

    chains: list[Chain]
