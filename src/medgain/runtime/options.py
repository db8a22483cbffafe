"""Options that stand once: fields of a dataclass, which commands, Python and records follow.

A field is `name: Annotated[type, Option("help")] = default`. The command line makes a flag of
it (`medgain.cli.options`), a Python function takes it as a keyword, and what was chosen is
written down by `Options.recorded`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from medgain.runtime.errors import ConfigError, suggest


@dataclass(frozen=True)
class Option:
    """How a field of `Options` stands on the command line.

    Args:
        help: one line for ``--help``.
        flag: its flag; by default the field's name with "-" for "_".
        parse: makes the field's value of a text, for values that are no plain number, text or
            path.
        min: smallest number.
        recorded: whether a record says what was chosen: not so for what changes no result.
    """

    help: str
    flag: str | None = None
    parse: Callable[[str], Any] | None = None
    min: float | None = None
    recorded: bool = True


@dataclass(frozen=True)
class Declared:
    """A field of `Options` with its name, type, default and `Option`."""

    name: str
    annotation: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """The flag on the command line, such as ``--group-column``."""
        return self.option.flag or f"--{self.name.replace('_', '-')}"

    @property
    def types(self) -> tuple[Any, ...]:
        """What the value may be, without None: `(int,)` for ``int | None``."""
        union = get_origin(self.annotation) in (Union, UnionType)
        kinds = get_args(self.annotation) if union else (self.annotation,)
        return tuple(kind for kind in kinds if kind is not NoneType)

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values that it may have; () where it is not one of a few names."""
        only = self.types[0] if len(self.types) == 1 else None
        return get_args(only) if get_origin(only) is Literal else ()

    def checked(self, value: Any) -> Any:
        """Return `value` in the field's own type: texts parsed, lists as tuples.

        Raises:
            ConfigError: not one of the choices, or a text that does not parse.
        """
        if isinstance(value, str) and self.option.parse is not None:
            value = self.option.parse(value)
        elif isinstance(value, str) and self.types == (Path,):
            value = Path(value)
        elif isinstance(value, list):
            value = tuple(value)
        if self.choices and value not in self.choices:
            raise ConfigError(
                f"{self.flag} {value!r} is not known", suggest(str(value), self.choices)
            )
        return value


class Options:
    """Base of a frozen dataclass whose fields are options; checks and converts their values."""

    def __post_init__(self) -> None:
        for declared in declared_options(type(self)):
            value = declared.checked(getattr(self, declared.name))
            object.__setattr__(self, declared.name, value)
        self.check()

    def check(self) -> None:
        """Raise `ConfigError` if values contradict each other or are out of range."""

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return these options with some of them changed.

        Raises:
            TypeError: there is no such option; names the nearest one.
            ConfigError: a value that it can't have.
        """
        known = [declared.name for declared in declared_options(type(self))]
        for name in changes:
            if name not in known:
                raise TypeError(f"there is no option '{name}': {suggest(name, known)}")
        return replace(self, **changes) if changes else self  # type: ignore[type-var]

    def recorded(self) -> dict[str, Any]:
        """Return what was chosen, as JSON holds it, without what changes no result."""
        return {
            declared.name: _as_json(getattr(self, declared.name))
            for declared in declared_options(type(self))
            if declared.option.recorded
        }


def declared_options(options: type[Options]) -> tuple[Declared, ...]:
    """Return the options that a class declares, in their order."""
    hints = get_type_hints(options, include_extras=True)
    found = []
    for field in fields(options):  # type: ignore[arg-type]  # a dataclass, as documented
        annotation, *metadata = get_args(hints[field.name])
        option = next(value for value in metadata if isinstance(value, Option))
        assert field.default is not MISSING, f"{field.name} has no default"
        found.append(Declared(field.name, annotation, field.default, option))
    return tuple(found)


def comma_separated(text: str) -> tuple[str, ...]:
    """Return the parts of "a, b": ("a", "b")."""
    return tuple(part.strip() for part in text.split(","))


def parsed_by(module: str, function: str) -> Callable[[str], Any]:
    """Return the named function, whose module is loaded when a text is parsed and not before."""

    def parse(text: str) -> Any:
        return getattr(importlib.import_module(module), function)(text)

    return parse


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
