"""Settings that people write: a pydantic model's complaints as sentences with a remedy.

Plans, policies, tasks, generators, phantoms and budgets are all read here, so that a wrong key
sounds the same everywhere.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from medgain.runtime.errors import ConfigError, suggest

M = TypeVar("M", bound=BaseModel)
ANOTHER_VALUE = "give another value with --set"


def read_settings(
    model: type[M], values: Any, where: str = "", *, prefix: str = "", remedy: str = ""
) -> M:
    """Return `values` as a `model`.

    Args:
        where: what the values are called in messages ("plan recipes/x.yaml", "policy").
        prefix: what stands before each key ("config" for "config.batch_size").
        remedy: what to do about a wrong value; an unknown key has the nearest known one.

    Raises:
        ConfigError: a key is unknown, a key is missing, or a value is wrong; names them all.
    """
    before = f"{where}: " if where else ""
    if not isinstance(values, (Mapping, BaseModel)):
        what = f"'{prefix}'" if prefix else "it"
        raise ConfigError(
            f"{before}{what} is {values!r}, not a set of keys with values",
            f"write --set {prefix}.KEY=VALUE" if prefix else "write KEY: VALUE, one a line",
        )
    given = dict(values) if isinstance(values, Mapping) else values
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors()
        lines = dict.fromkeys(_sentence(model, one, prefix) for one in found)
        unknown = all(one["type"] == "extra_forbidden" for one in found)
        advice = "" if unknown else remedy or _meaning(model, found[0])
        raise ConfigError(before + "; ".join(lines), advice) from None


def _path(details: Any) -> list[Any]:
    return [part for part in details["loc"] if not _is_tag(part)]


def _sentence(model: type[BaseModel], details: Any, prefix: str) -> str:
    path = [*([prefix] if prefix else []), *_path(details)]
    name = ".".join(str(part) for part in path)
    if details["type"] == "extra_forbidden":
        known = _known_keys(model, _path(details)[:-1])
        return f"unknown key '{name}' ({suggest(str(path[-1]), known)})"
    if details["type"] == "missing":
        return f"key '{name}' is missing"
    message = details["msg"].removeprefix("Value error, ")
    got = details.get("input")
    if not name:
        return str(message)
    if isinstance(got, (str, int, float, bool, type(None))):
        return f"'{name}' can't be {got!r}: {message}"
    return f"'{name}': {message}"


def _meaning(model: type[BaseModel], details: Any) -> str:
    """Return what the key of a wrong value means, where its model says."""
    path = _path(details)
    if len(path) != 1 or path[0] not in model.model_fields:
        return ""
    meaning = model.model_fields[path[0]].description
    return f"{path[0]} is {meaning}" if meaning else ""


def _is_tag(part: Any) -> bool:
    """Pydantic puts the chosen member of a union on the path, which no user wrote."""
    return isinstance(part, str) and (
        part in {"official", "holdout", "cross-validation", "str", "PhantomSource"} or "[" in part
    )


def _known_keys(model: type[BaseModel], path: list[Any]) -> set[str]:
    """Return the keys known at `path` below `model`, following dicts, lists and unions."""
    types_here: list[Any] = [model]
    for part in path:
        below: list[Any] = []
        for kind in types_here:
            below += _step(kind, part)
        types_here = below
    keys: set[str] = set()
    for kind in types_here:
        if _is_model(kind):
            keys |= {field.alias or name for name, field in kind.model_fields.items()}
    return keys


def _step(kind: Any, part: Any) -> list[Any]:
    if _is_model(kind):
        field = kind.model_fields.get(str(part))
        return _members(field.annotation) if field else []
    if typing.get_origin(kind) is dict:
        return _members(typing.get_args(kind)[1])
    if typing.get_origin(kind) is list:
        return _members(typing.get_args(kind)[0])
    return []


def _members(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [member for one in typing.get_args(annotation) for member in _members(one)]
    return [annotation]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
