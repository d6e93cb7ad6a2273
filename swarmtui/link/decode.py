"""Bytes of the engine into frozen model objects, off the event loop and without work for what did not change.

A typed decode of 10,000 tasks in one go keeps the interpreter lock for 20 ms and more. Here the array is only split;
each element whose bytes were seen in the previous answer yields the very object made then, so that everything above
can tell by identity that nothing changed. What is new is made harmless and decoded one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from swarmtui.errors import EngineError
from swarmtui.model.swarm import ApiStruct
from swarmtui.model.text import harmless_json

T = TypeVar("T", bound=ApiStruct)

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_SPLIT = msgspec.json.Decoder(list[msgspec.Raw])


class Collection(Generic[T]):
    """Decodes one list of the engine API, again and again.

    Not thread-safe: one call at a time. The result is keyed by the objects' ids.
    """

    def __init__(self, name: str, kind: type[T]) -> None:
        self.name = name
        self._decoder = msgspec.json.Decoder(kind)
        self._seen: dict[bytes, tuple[str, T]] = {}
        self._last: Mapping[str, T] = {}

    def __call__(self, body: bytes) -> Mapping[str, T]:
        """Decodes an answer; returns the same mapping object when nothing changed since the last one.

        Raises:
            EngineError: the answer is not a list of such objects.
        """
        seen: dict[bytes, tuple[str, T]] = {}
        old = self._seen
        result: dict[str, T] = {}
        same = True
        try:
            # A null is what Go's encoder makes of an empty list that was never allocated.
            elements = [] if body.strip() == b"null" else _split(body)
            for element in elements:
                raw = bytes(element)
                entry = old.get(raw)
                if entry is None:
                    same = False
                    value = self._decoder.decode(harmless_json(raw))
                    entry = (_id_of(value), value)
                seen[raw] = entry
                result[entry[0]] = entry[1]
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
        return _SPLIT.decode(body)
    except msgspec.DecodeError:
        # Half a surrogate pair in one string spoils the whole list: once it is harmless, the rest can be read.
        return _SPLIT.decode(harmless_json(body))


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
