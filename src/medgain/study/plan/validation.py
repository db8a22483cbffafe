"""Turn pydantic's complaints about a plan into sentences that name the key and the remedy."""

from __future__ import annotations

import types
import typing
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from medgain.runtime.errors import ConfigError, suggest

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], data: Any, where: str) -> M:
    """Return `data` as a `model`.

    Args:
        where: what the data is called in messages ("plan recipes/x.yaml", "task").

    Raises:
        ConfigError: a key is unknown (the nearest known one is named) or a value is wrong.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_sentence(model, details) for details in error.errors()]
        unique = list(dict.fromkeys(lines))
        raise ConfigError(f"{where}: " + "; ".join(unique)) from None


def _sentence(model: type[BaseModel], details: Any) -> str:
    path = [part for part in details["loc"] if not _is_tag(part)]
    name = ".".join(str(part) for part in path) or "the plan"
    if details["type"] == "extra_forbidden":
        hint = suggest(str(path[-1]), _known_keys(model, path[:-1]))
        return f"unknown key '{name}' ({hint})"
    if details["type"] == "missing":
        return f"key '{name}' is missing"
    got = details.get("input")
    shown = f", got {got!r}" if isinstance(got, (str, int, float, bool, type(None))) else ""
    return f"'{name}': {details['msg'].removeprefix('Value error, ')}{shown}"


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
