"""A compose file from disk, made ready to be sent to a manager: nothing in it depends on where it is read.

`docker stack deploy` reads env_file, the files of secrets and configs, relative bind mounts, variables and bare
environment names from the machine it runs on. It runs on a manager here; so all of these are resolved first, on the
operator's machine, as the stock command would if it were typed there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from swarmtui.errors import UsageError
from swarmtui.model import compose
from swarmtui.model.compose_reader import At
from swarmtui.model.compose_variables import ComposeError, escaped, interpolate
from swarmtui.model.text import one_line
from swarmtui.runbooks.blob_steps import BLOB_BYTES
from swarmtui.runbooks.files import read_file, slow_digest

FILE_BYTES = 1 << 20
VALUES = 50_000
DEPTH = 50

Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Blob:
    """A secret or config whose content is a file of the operator. kind: secret or config."""

    kind: str
    name: str
    path: Path
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """A file that can be deployed.

    Attributes:
        stack: what it wants.
        content: what is sent; may hold secrets.
        blobs: secrets and configs to make of files before.
        binds: mounts of a folder that the file names relative to itself, as absolute paths.
        digest: tells whether file, variables or the files it names have changed.
    """

    path: Path
    stack: compose.Stack
    content: bytes
    blobs: tuple[Blob, ...]
    binds: tuple[str, ...]
    digest: str


def load(path: Path, name: str, variables: Mapping[str, str]) -> ComposeFile:
    """Reads a compose file for the stack of this name.

    Args:
        variables: the environment that stands in for ${…}.

    Raises:
        UsageError: it cannot be read or deployed; names file, line and key.
    """
    raw = read_file(path, FILE_BYTES, "The compose file")
    document, lines = _yaml(raw, path)
    try:
        if isinstance(document, dict):
            document = interpolate(document, variables)
        compose.stack_of(document, name)
        local = _Local(document, path.parent, variables, name)
        stack = compose.stack_of(local.document, name)
    except ComposeError as error:
        keys = error.path
        while keys and keys not in lines:
            keys = keys[:-1]
        key = f"{one_line(error.key)} " if error.key else ""
        raise UsageError(
            f"{path}, line {lines.get(keys, 1)}: {key}{one_line(error.what)}.", "Nothing was touched: mend the file."
        ) from None
    content = json.dumps(escaped(local.document), ensure_ascii=True).encode()
    contents = [
        read_file(blob.path, BLOB_BYTES[blob.kind], f"The file of {blob.kind} {blob.name}:") for blob in local.blobs
    ]
    return ComposeFile(path, stack, content, tuple(local.blobs), tuple(local.binds), slow_digest(content, *contents))


# -- YAML ------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML as Go's yaml.v2 reads it: no times, no numbers to base 60 ("22:22" are ports)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("timestamp", "int", "float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)


def _yaml(raw: bytes, path: Path) -> tuple[Any, dict[Keys, int]]:
    """The values of a YAML file, and the line each stands in."""
    try:
        loader = _Loader(raw)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}
            _no_key_twice(node, path)
            document = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it is not text in UTF-8"
        raise UsageError(
            f"{path}{line}: this is no YAML: {one_line(str(problem))}.", "Nothing was touched: mend the file."
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as YAML: {one_line(str(error))}.", "Mend the file.") from None
    lines: dict[Keys, int] = {}
    _find_lines(node, (), lines, path)
    return document, lines


def _no_key_twice(root: yaml.Node, path: Path) -> None:
    """Refuses a key that stands twice in a mapping: one of the two would be silently lost."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                left.append(value)
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in keys:
                        line = key.start_mark.line + 1
                        raise UsageError(
                            f'{path}, line {line}: the key "{one_line(key.value)}" stands twice in one mapping.',
                            "Nothing was touched: mend the file.",
                        )
                    keys.add(key.value)


def _find_lines(node: yaml.Node, keys: Keys, lines: dict[Keys, int], path: Path) -> None:
    if len(lines) > VALUES or len(keys) > DEPTH:
        raise UsageError(f"{path} is too large or too deep once its aliases are followed.", "Is it a compose file?")
    lines.setdefault(keys, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _find_lines(value, (*keys, i), lines, path)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                inner = (*keys, key.value)
                lines[inner] = key.start_mark.line + 1
                _find_lines(value, inner, lines, path)


# -- what the file takes from the machine it is read on --------------------------------------------------------------


class _Local:
    """A document with everything resolved that depends on this machine."""

    def __init__(self, document: Any, folder: Path, variables: Mapping[str, str], stack: str) -> None:
        self.folder = folder
        self.variables = variables
        self.stack = stack
        self.binds: list[str] = []
        self.blobs: list[Blob] = []
        root = At(document)
        self.document: dict[str, Any] = {key: at.value for key, at in root.items() if not key.startswith("x-")}
        self.document["services"] = {key: self._service(at) for key, at in root.get("services").items()}
        named_apart = _names_apart(root.get("version"))
        for kind in ("secret", "config"):
            section = root.get(f"{kind}s")
            if section:
                self.document[f"{kind}s"] = {
                    key: self._blob(kind, key, at, named_apart=named_apart) for key, at in section.items()
                }

    def _service(self, at: At) -> dict[str, Any]:
        service = {key: inner.value for key, inner in at.items() if key != "env_file"}
        service |= {"environment": environment} if (environment := self._environment(at)) else {}
        if at.get("volumes"):
            service["volumes"] = [self._volume(entry) for entry in at.get("volumes").each()]
        return service

    def _environment(self, at: At) -> dict[str, str]:
        found: dict[str, str] = {}
        files = at.get("env_file")
        for entry in [files] if isinstance(files.value, str) else files.each():
            found |= self._env_file(self._path(entry.text()))
        own = at.get("environment")
        for key, value in own.pairs().items():
            known = self.variables.get(key) if value is None else value
            if known is None:
                raise own.wrong(f"takes {key} from the environment, where it is not set here")
            found[key] = known
        return found

    def _env_file(self, path: Path) -> dict[str, str]:
        """docker/cli, opts/file.go: KEY=VALUE, nothing unquoted; a bare KEY is taken from the environment."""
        raw = read_file(path, FILE_BYTES, "The env_file")
        found: dict[str, str] = {}
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UsageError(f"The env_file {path} is no text in UTF-8.", "Nothing was touched.") from None
        for number, line in enumerate(text.split("\n"), 1):
            line = line.removesuffix("\r").lstrip(" \t")
            if not line or line.startswith("#"):
                continue
            key, equals, value = line.partition("=")
            if not key or any(c in " \t" for c in key):
                raise UsageError(f"{path}, line {number}: this is not KEY=VALUE.", "Nothing was touched.")
            if equals:
                found[key] = value
            elif key in self.variables:
                found[key] = self.variables[key]
        return found

    def _volume(self, at: At) -> Any:
        kind, source, _, _ = compose.mount(at)
        if kind != "bind" or source.startswith("/"):
            return at.value
        absolute = str(self._path(source))
        self.binds.append(absolute)
        if isinstance(at.value, dict):
            return {**at.value, "source": absolute}
        return absolute + at.text()[len(source) :]

    def _path(self, text: str) -> Path:
        try:
            path = Path(text).expanduser()
        except RuntimeError:  # nobody has the name after the tilde
            path = Path(text)
        return Path(os.path.normpath(self.folder / path))

    def _blob(self, kind: str, key: str, at: At, *, named_apart: bool) -> Any:
        if not at.get("file"):
            return at.value
        own = at.get("name")
        name = own.text() if own else f"{self.stack}_{key}"
        labels = {label: value or "" for label, value in at.get("labels").pairs().items()}
        path = self._path(at.get("file").text())
        self.blobs.append(Blob(kind, name, path, {**labels, compose.NAMESPACE: self.stack}))
        return {"external": True, "name": name} if named_apart else {"external": {"name": name}}


def _names_apart(version: At) -> bool:
    """Whether a file of this version writes the name of what is external beside it, and not under it (since 3.5)."""
    minor = version.text().partition(".")[2] if version else "8"
    return not minor.isdigit() or int(minor) >= 5
