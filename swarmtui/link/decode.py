"""Bytes of the engine into frozen model objects, off the event loop and without work for what did not change.

A typed decode of 10,000 tasks in one go keeps the interpreter lock for 20 ms and more. Here the array is only split;
each element whose bytes were seen in the previous answer yields the very object made then, so that everything above
can tell by identity that nothing changed. What is new is made harmless and decoded one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

from swarmtui.errors import EngineError
from swarmtui.model.swarm import ApiStruct
from swarmtui.model.text import harmless_json, one_line

T = TypeVar("T", bound=ApiStruct)

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
PIECE = 1 << 20
"""Bytes split in one go, in about 1 ms. 10,000 tasks are 9 MB: all at once, nobody else would get the interpreter lock
for 12 ms."""
_BETWEEN = b'},{"ID":"'
_SPLIT = msgspec.json.Decoder(list[msgspec.Raw])


class Collection(Generic[T]):
    """Decodes one list of the engine API, again and again.

    Not thread-safe: one call at a time. The result is keyed by the objects' ids.
    """

    def __init__(self, name: str, kind: type[T]) -> None:
        self.name = name
        self._decoder = msgspec.json.Decoder(kind)
        # By the hash of an element's bytes: 64 bits under a key of this process (PEP 456). The bytes themselves are
        # not kept: those of 10,000 tasks are 9 MB, and a single config carries up to 1 MB that nobody looks at.
        self._seen: dict[int, T] = {}
        self._last: Mapping[str, T] = {}

    def __call__(self, body: bytes) -> Mapping[str, T]:
        """Decodes an answer; returns the same mapping object when nothing changed since the last one.

        Raises:
            EngineError: the answer is not a list of such objects.
        """
        seen: dict[int, T] = {}
        old = self._seen
        result: dict[str, T] = {}
        same = True
        try:
            # A null is what Go's encoder makes of an empty list that was never allocated.
            elements = [] if body[:9].strip() == b"null" else _split(body)
            for element in elements:
                text = bytes(element)
                known_by = hash(text)
                value = old.get(known_by)
                if value is None:
                    same = False
                    value = self._decoder.decode(harmless_json(text))
                seen[known_by] = value
                result[_id_of(value)] = value
        except UNREADABLE as error:
            raise EngineError(
                f"The engine's list of {self.name} cannot be read: {error}.",
                "Is it a Docker engine, and not a proxy that answers in its place?",
            ) from error
        if same and len(result) == len(self._last):
            return self._last
        self._seen, self._last = seen, result
        return result


def _split(body: bytes) -> list[msgspec.Raw]:
    try:
        return [element for piece in _pieces(body) for element in _SPLIT.decode(piece)]
    except msgspec.DecodeError:
        pass
    try:
        return _SPLIT.decode(body)
    except msgspec.DecodeError:
        # Half a surrogate pair in one string spoils the whole list: once it is harmless, the rest can be read.
        return _SPLIT.decode(harmless_json(body))


def _pieces(body: bytes) -> Iterator[bytes]:
    """Cuts a long list between two of its objects, into lists.

    The mark cannot stand in a string, whose quotes are escaped. Between two objects of a list within an object it may:
    what is cut there is no JSON.
    """
    start, opening = 0, b""
    while (cut := body.find(_BETWEEN, start + PIECE)) >= 0:
        yield opening + body[start : cut + 1] + b"]"
        start, opening = cut + 2, b"["
    yield opening + body[start:] if start else body


class _Volumes(ApiStruct, frozen=True):
    volumes: msgspec.Raw = msgspec.Raw(b"null")
    warnings: list[str] | None = None


def volumes_of(body: bytes) -> tuple[bytes, str]:
    """Takes apart the answer of `GET /volumes`, the only list that comes in an object.

    Returns:
        The list itself, still as bytes; and what the engine says is missing from it, "" where it is whole.

    Raises:
        EngineError: the answer is no such object.
    """
    answer = decode_one(body, _Volumes, "its volumes")
    return bytes(answer.volumes), " ".join(map(one_line, answer.warnings or ()))


def _id_of(value: ApiStruct) -> str:
    return str(getattr(value, "id", ""))


def decode_one(body: bytes, kind: type[T], what: str) -> T:
    """Decodes a single object.

    Raises:
        EngineError: the answer is not such an object.
    """
    try:
        return msgspec.json.decode(harmless_json(body), type=kind)
    except UNREADABLE as error:
        raise EngineError(
            f"The engine's answer about {what} cannot be read: {error}.",
            "Is it a Docker engine, and not a proxy that answers in its place?",
        ) from error
