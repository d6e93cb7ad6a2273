"""Variables in compose files, replaced as `docker stack deploy` replaces them (docker/cli, cli/compose/template).

$NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?error}, ${NAME?error}; $$ is a plain dollar sign. In one
thing stricter than docker: a variable that is not set and has no default is an error, not an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

SECTIONS = ("services", "volumes", "networks", "secrets", "configs")
"""The parts of a file in which variables are replaced; in their values, never in keys."""

Path = tuple[str | int, ...]

_NAME = r"[_a-zA-Z][_a-zA-Z0-9]*"
_VARIABLE = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<named>{_NAME})|\{{(?P<braced>{_NAME})(?:(?P<how>:?[-?])(?P<rest>[^}}]*))?\}}|(?P<bad>))"
)


class ComposeError(Exception):
    """A compose file says something that cannot be deployed.

    Attributes:
        path: the keys that lead to it.
        what: what is wrong, to follow "services.web.image: "; without a full stop.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(what)
        self.path = path
        self.what = what

    @property
    def key(self) -> str:
        """The keys as people write them: services.web.ports[0]."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)
        return text.removeprefix(".")


def substitute(text: str, variables: Mapping[str, str], path: Path) -> str:
    """One text with its variables replaced.

    Raises:
        ComposeError: a variable is not set, or the text is no proper template.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["named"] or match["braced"]
        if not name:
            raise ComposeError(path, "has a $ that begins no variable (a plain dollar sign is written $$)")
        how, rest = match["how"] or "", match["rest"] or ""
        found = variables.get(name)
        if found is not None and (found or not how.startswith(":")):
            return found
        if how.endswith("-"):
            return rest
        if how.endswith("?"):
            raise ComposeError(path, f"needs the variable {name}: {rest or 'it is not set'}")
        raise ComposeError(path, f"needs the variable {name}, which is not set here")

    return _VARIABLE.sub(value, text)


def interpolate(document: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """The document with every variable in its values replaced.

    Raises:
        ComposeError: a variable is not set, a text is no proper template, or what came out has the wrong type.
    """
    return {
        key: _walk(value, (key,), lambda text, path: _replaced(text, variables, path)) if key in SECTIONS else value
        for key, value in document.items()
    }


def escaped(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with every dollar sign doubled where docker looks for variables: it finds none."""
    return {
        key: _walk(value, (key,), lambda text, path: text.replace("$", "$$")) if key in SECTIONS else value
        for key, value in document.items()
    }


def _walk(value: Any, path: Path, change: Callable[[str, Path], Any]) -> Any:
    if isinstance(value, str):
        return change(value, path)
    if isinstance(value, dict):
        return {key: _walk(inner, (*path, key), change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, (*path, i), change) for i, inner in enumerate(value)]
    return value


def _replaced(text: str, variables: Mapping[str, str], path: Path) -> Any:
    if "$" not in text:
        return text
    new = substitute(text, variables, path)
    # Only what a variable changed is converted: a number that was written as text stays an error.
    return new if new == text else _cast(new, path)


def _cast(text: str, path: Path) -> Any:
    kind = next((kind for pattern, kind in _CASTS if _fits(pattern, path)), None)
    try:
        return text if kind is None else kind(text)
    except ValueError:
        # Not the value: it may be a secret that stands in the wrong place.
        raise ComposeError(path, f"is no {_WORDS[kind]} once its variables are replaced") from None


def _boolean(text: str) -> bool:
    known = {"y": True, "yes": True, "true": True, "on": True, "n": False, "no": False, "false": False, "off": False}
    if text.lower() not in known:
        raise ValueError
    return known[text.lower()]


_WORDS: dict[Any, str] = {int: "whole number", float: "number", _boolean: "true or false"}


def _fits(pattern: tuple[str, ...], path: Path) -> bool:
    return len(pattern) == len(path) and all(p in ("*", str(part)) for p, part in zip(pattern, path, strict=True))


def _patterns(lines: str, kind: Callable[[str], Any]) -> list[tuple[tuple[str, ...], Callable[[str], Any]]]:
    return [(tuple(line.split(".")), kind) for line in lines.split()]


# docker/cli, cli/compose/loader/interpolate.go: which values become numbers or truths.
_CASTS = [
    *_patterns(
        """
        services.*.configs.*.mode services.*.secrets.*.mode services.*.healthcheck.retries services.*.deploy.replicas
        services.*.deploy.update_config.parallelism services.*.deploy.rollback_config.parallelism
        services.*.deploy.restart_policy.max_attempts services.*.deploy.placement.max_replicas_per_node
        services.*.ports.*.target services.*.ports.*.published
        services.*.ulimits.* services.*.ulimits.*.hard services.*.ulimits.*.soft
        """,
        int,
    ),
    *_patterns(
        """
        services.*.deploy.update_config.max_failure_ratio services.*.deploy.rollback_config.max_failure_ratio
        """,
        float,
    ),
    *_patterns(
        """
        services.*.healthcheck.disable services.*.privileged services.*.read_only services.*.stdin_open services.*.tty
        services.*.volumes.*.read_only services.*.volumes.*.volume.nocopy networks.*.external networks.*.internal
        networks.*.attachable volumes.*.external secrets.*.external configs.*.external
        """,
        _boolean,
    ),
]
