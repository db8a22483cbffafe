"""Groups from a pattern in the paths: patients, lesions or cases."""

from __future__ import annotations

import re
from dataclasses import replace

from medgain.importing.layouts.base import Item, Listing
from medgain.runtime.errors import ConfigError, DataError


def group_by_pattern(items: list[Item], pattern: str) -> tuple[list[Item], int]:
    """Return items grouped by the captures of `pattern` in their relative path, and the misses.

    The group is the captures joined with "/" (the whole match where there are none); an item
    without a match stays without a group, which makes it a group of its own.

    Raises:
        ConfigError: the pattern is not a regular expression.
        DataError: it matches no path at all.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"--group-pattern {pattern!r} is not a regular expression ({error})",
            r"for files called patient07_3.png write 'patient(\d+)_'",
        ) from None
    grouped, missed = [], 0
    for item in items:
        match = expression.search(item.relative)
        if match is None:
            missed += 1
            grouped.append(item)
            continue
        captures = [text for text in match.groups() if text is not None]
        group = "/".join(captures) if captures else match.group()
        grouped.append(replace(item, group=group))
    if missed == len(items):
        raise DataError(
            f"--group-pattern {pattern!r} matches none of {len(items)} paths,"
            f" the first of which is {items[0].relative}",
            "the pattern is searched in the path below the source folder",
        )
    return grouped, missed


def apply_group_pattern(listing: Listing, pattern: str) -> Listing:
    """Group `listing` by `pattern`, and say so in its rule and notes."""
    listing.items, missed = group_by_pattern(listing.items, pattern)
    listing.groups_known = True
    listing.group_rule = f"groups from the file names by the pattern {pattern}"
    if missed:
        listing.notes.append(f"{missed} images don't match the group pattern: own groups")
    return listing
