"""`--set key=value`: dotted keys with YAML values, laid over a plan or a configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from medgain.runtime.errors import ConfigError

_KEY_PART = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_+-]*")
_EXAMPLE = "write --set key=value, such as --set budget.kimg=50"


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Return the nested dict that "a.b=1" texts describe; a later one wins.

    Values are YAML: ``3``, ``0.5``, ``true``, ``null``, ``[1, 2]``, ``{a: 1}`` or text.

    Raises:
        ConfigError: no "=", an empty or odd key, or a value that is not YAML; names the text.
    """
    nested: dict[str, Any] = {}
    for assignment in assignments:
        keys, value = _split(assignment)
        branch: dict[str, Any] = {keys[-1]: value}
        for key in reversed(keys[:-1]):
            branch = {key: branch}
        nested = merge(nested, branch)
    return nested


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid on it: mappings merge key by key, all else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _split(assignment: str) -> tuple[list[str], Any]:
    name, equals, text = assignment.partition("=")
    if not equals:
        raise ConfigError(f"--set '{assignment}' has no '='", _EXAMPLE)
    keys = [key.strip() for key in name.split(".")]
    if not all(_KEY_PART.fullmatch(key) for key in keys):
        raise ConfigError(f"--set '{assignment}' has the malformed key '{name}'", _EXAMPLE)
    try:
        return keys, _value(text)
    except (yaml.YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"the value of --set '{assignment}' is not YAML ({reason})",
            "put text with special characters in quotes",
        ) from None


def _value(text: str) -> Any:
    value = yaml.safe_load(text)
    if isinstance(value, str) and value == text.strip():
        try:  # YAML 1.1 reads 2e-4 as text, because it has no point
            return float(value) if re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value) else value
        except ValueError:
            return value
    return value
