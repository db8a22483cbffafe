"""Image sets in words: the lines that `medgain import` and `medgain inspect` print."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medgain.imageset.imageset import ImageSet
from medgain.imageset.inspection import count_classes, describe_groups

WIDTH = 60
_SHOWN = 10


def import_lines(image_set: ImageSet, out: Path, seconds: float) -> list[str]:
    """Return what an import ends with: counts, grouping, what was skipped, time."""
    card = image_set.card
    unreadable = card.history[-1].get("unreadable", [])
    lines = [_title(out, image_set), *_table(count_classes(image_set))]
    groups = describe_groups(image_set)
    lines += _wrap(f"{groups['count']:,} groups: {card.group_rule}")
    for note in card.notes:
        lines += _wrap(f"note: {note}")
    if unreadable:
        lines += _wrap(f"{len(unreadable)} unreadable files were skipped:")
        lines += [f"  {bad['file']}: {bad['reason']}" for bad in unreadable[:_SHOWN]]
        if len(unreadable) > _SHOWN:
            lines.append(f"  and {len(unreadable) - _SHOWN} more, listed in {out}/card.json")
    speed = len(image_set) / max(seconds, 1e-9)
    lines.append(f"{seconds:.1f} s, {speed:,.{0 if speed >= 10 else 1}f} images/s")
    return lines


def inspection_lines(description: Mapping[str, Any]) -> list[str]:
    """Return a description made by `inspect` as lines of at most 60 columns (but for paths)."""
    size = description["size_px"]
    colour = "grey" if description["channels"] == 1 else "colour"
    lines = _wrap(f"{description['name']}: {description['images']:,} images")
    if description["origin"] != "real":
        lines.append(f"{description['origin'].upper()}: no patient's images")
    lines.append(f"{size['width']} × {size['height']} px, {colour}, {description['bits']} bit")
    lines += _values(description["intensity"])
    if description["masks"] is not None:
        lines += _wrap(f"masks: {', '.join(description['masks']) or 'yes'}")
    lines += _wrap(f"modality: {description['modality']}; licence: {description['licence']}")
    lines += ["", *_table(description["classes"])]
    if description["positive"]:
        lines += _wrap(f"positive class: {description['positive']}")
    groups = description["groups"]
    lines += ["", *_wrap(f"{groups['count']:,} groups, the largest of {groups['largest']:,}")]
    lines += _wrap(f"rule: {groups['rule']}")
    lines += ["", *_duplicates(description["duplicates"])]
    lines += ["", *_leaks(description["leaks"])]
    for note in description["notes"]:
        lines += _wrap(f"note: {note}")
    if "contact_sheet" in description:
        lines += ["", f"contact sheet: {description['contact_sheet']}"]
    return lines


def _title(out: Path, image_set: ImageSet) -> str:
    height, width = image_set.size_px
    colour = "grey" if image_set.channels == 1 else "colour"
    bits = 8 * image_set.images.dtype.itemsize
    return f"{out}: {len(image_set):,} images, {width} × {height} px, {colour}, {bits} bit"


def _values(intensity: Mapping[str, Any]) -> list[str]:
    if intensity["min"] is None:
        return []
    text = f"values {intensity['min']} to {intensity['max']}, mean {intensity['mean']:.1f}"
    if intensity["unit"]:
        text += f" ({intensity['unit']} = value × {intensity['scale']} + {intensity['offset']})"
    return _wrap(text)


def _table(classes: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return a table of counts, classes down and parts across."""
    parts = list(dict.fromkeys(part for counts in classes.values() for part in counts))
    named = any(parts)
    names = {label: _cut(label or "no label", 24) for label in classes}
    wide = max(len(text) for text in [*names.values(), "all", "class"])
    head = ["class".ljust(wide)]
    if named:
        head += [(part or "none").rjust(7) for part in parts]
    lines = ["".join([*head, "all".rjust(8)])]
    for label, counts in classes.items():
        cells = [f"{counts[part]:,}".rjust(7) for part in parts] if named else []
        lines.append(
            "".join([names[label].ljust(wide), *cells, f"{sum(counts.values()):,}".rjust(8)])
        )
    return lines


def _duplicates(found: Mapping[str, Any]) -> list[str]:
    lines = _wrap(
        f"duplicates: {found['identical_groups']} groups of identical images"
        f" ({found['identical_extra_copies']} extra copies), {found['near_pairs']} near-identical"
        f" pairs ({found['near_pairs_in_different_groups']} of them in different groups)"
    )
    for images in found["identical"][:3]:
        lines += _wrap("= " + " = ".join(images), indent="  ")
    for pair in found["near"][:3]:
        lines += _wrap(f"≈ {' ≈ '.join(pair['images'])} ({pair['correlation']:.3f})", indent="  ")
    hidden = max(0, found["identical_groups"] - 3) + max(0, found["near_pairs"] - 3)
    return [*lines, f"  and {hidden} more (--json lists them)"] if hidden else lines


def _leaks(found: Mapping[str, Any]) -> list[str]:
    if not found["count"]:
        return ["leaks between its own parts: none found"]
    kinds = ", ".join(f"{count} × {kind}" for kind, count in found["by_kind"].items())
    lines = _wrap(f"LEAKS between its own parts: {kinds}")
    for leak in found["listed"][:_SHOWN]:
        lines += _wrap(leak["text"], indent="  ")
    if found["count"] > _SHOWN:
        lines.append(f"  and {found['count'] - _SHOWN} more (--json lists them)")
    return lines


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
