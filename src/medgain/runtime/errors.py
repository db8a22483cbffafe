"""Errors that a user can act on: each names the thing and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MedgainError(Exception):
    """A problem that the user can fix; printed without a traceback by the command line.

    Args:
        problem: what is wrong, naming the file, key or image.
        remedy: what to do about it.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}" if remedy else problem)

    def __reduce__(self) -> tuple[type[MedgainError], tuple[str, str]]:
        return type(self), (self.problem, self.remedy)  # so that it crosses process borders whole


class ConfigError(MedgainError):
    """A plan, recipe or option is wrong."""


class DataError(MedgainError):
    """An image, a table or an image set is wrong."""


class LeakError(MedgainError):
    """Images or groups are in two parts of a split, or duplicates contradict each other."""


class StorageError(MedgainError):
    """A file or folder cannot be written: the disk is full, or permission is missing."""


class TrainingFailure(MedgainError):
    """Training diverged or collapsed: a recorded result, not a crash."""


def suggest(unknown: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for the nearest known name, or the list of known names."""
    names = sorted(known)
    near = difflib.get_close_matches(unknown, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    return "known: " + ", ".join(names)
