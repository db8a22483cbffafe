"""Registries that fill themselves by importing a package: adding a component is one file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from medgain.runtime.errors import ConfigError, suggest

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered component: its name, the object, a line about it and where it comes from."""

    name: str
    value: T
    summary: str
    source: str


class Registry(Generic[T]):
    """Components of one kind by name, found by importing what its packages hold.

    A component is a module of one of the packages, or a folder whose `__init__` imports the
    module that registers.

    Args:
        kind: what a component is called in messages ("generator").
        packages: dotted names of the packages whose modules register components.
    """

    def __init__(self, kind: str, *packages: str) -> None:
        self.kind = kind
        self.packages = packages
        self._entries: dict[str, Entry[T]] = {}
        self._discovered = False

    def register(self, name: str, *, summary: str, source: str = "") -> Callable[[T], T]:
        """Return a decorator that registers its object under `name`."""

        def decorate(value: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = Entry(name, value, summary, source)
            return value

        return decorate

    def get(self, name: str) -> T:
        """Return the component called `name`.

        Raises:
            ConfigError: no such component; names the nearest one.
        """
        self._discover()
        if name not in self._entries:
            raise ConfigError(f"unknown {self.kind} '{name}'", suggest(name, self._entries))
        return self._entries[name].value

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self._discover()
        return sorted(self._entries)

    def in_order(self) -> list[Entry[T]]:
        """Return every entry in the order in which they were registered."""
        self._discover()
        return list(self._entries.values())

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter([self._entries[name] for name in self.names()])

    def __contains__(self, name: str) -> bool:
        self._discover()
        return name in self._entries

    def _discover(self) -> None:
        if self._discovered:
            return
        self._discovered = True
        for name in self.packages:
            package = importlib.import_module(name)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{name}.{module.name}")
