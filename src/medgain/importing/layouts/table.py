"""A table (CSV, TSV or Excel) with one row per image: path, label, group and split columns."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pandas as pd

from medgain.imageset.imageset import COLUMNS
from medgain.importing.grouping import apply_group_pattern
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import UNKNOWN_GROUPS, Item, Listing
from medgain.importing.options import ImportOptions
from medgain.importing.tree import SPLIT_NAMES, TABLE_SUFFIXES, Tree
from medgain.runtime.errors import DataError, suggest

# usual names of each column, the likeliest first; compared in lower case, "_" for " " and "-"
USUAL_NAMES = {
    "image": (
        *("image_path", "path", "filepath", "file_path", "file", "filename", "file_name"),
        *("image", "image_name", "image_index", "image_id", "isic_id", "id"),
    ),
    "label": (
        *("label", "class", "diagnosis", "dx", "target", "category", "finding", "y"),
        *("benign_malignant", "diagnosis_1"),
    ),
    "group": (
        *("patient_id", "patientid", "patient", "subject_id", "subject"),
        *("lesion_id", "case_id", "case", "group"),
    ),
    "split": ("split", "partition", "subset", "set"),
}
_RESERVED = {*COLUMNS, "source_sha256", "height_px", "width_px"}


def read_table(path: Path) -> pd.DataFrame:
    """Read a table as text, with empty cells as "".

    Raises:
        DataError: it is missing, empty, or not a table.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise DataError(f"{path} is no table that can be read", f"use {', '.join(TABLE_SUFFIXES)}")
    try:
        if suffix == ".xlsx":
            frame = pd.read_excel(path, dtype=str, keep_default_na=False)
        else:
            # the python engine finds out by itself whether , ; or tabs separate
            frame = pd.read_csv(
                path,
                sep="\t" if suffix == ".tsv" else None,
                engine="python",
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
            )
    except FileNotFoundError:
        raise DataError(f"table {path} does not exist", "check --table") from None
    except Exception as error:  # whatever the parsers raise on a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"table {path} cannot be read ({reason})", "save it again as CSV") from None
    frame.columns = [str(column).strip() for column in frame.columns]
    if frame.empty:
        raise DataError(f"table {path} has no rows", "give a table with one row per image")
    return frame.fillna("").map(lambda cell: str(cell).strip())


def pick_column(frame: pd.DataFrame, role: str, named: str | None) -> str | None:
    """Return the column for `role`: the named one, else the likeliest by name, else None.

    Raises:
        DataError: the named column is not there.
    """
    columns = list(frame.columns)
    if named is not None:
        if named not in columns:
            raise DataError(f"the table has no column '{named}'", suggest(named, columns))
        return named
    plain = {column.lower().replace(" ", "_").replace("-", "_"): column for column in columns}
    return next((plain[name] for name in USUAL_NAMES[role] if name in plain), None)


class Finder:
    """Finds a table's images below a folder: by path, by name, or by name without suffix."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._paths = set(tree.images)
        self._names: dict[str, list[str]] = {}
        for path in tree.images:
            pure = PurePosixPath(path)
            for key in {path, pure.with_suffix("").as_posix(), pure.name, pure.stem}:
                self._names.setdefault(key, []).append(path)

    def find(self, value: str) -> str:
        """Return the relative path of the image that `value` names.

        Raises:
            DataError: there is none, or more than one.
        """
        key = value.replace("\\", "/").removeprefix("./")
        if key in self._paths:
            return key
        found = self._names.get(key, []) or self._names.get(PurePosixPath(key).name, [])
        if len(found) == 1:
            return found[0]
        if not found:
            raise DataError("in the table, but there is no such image below the folder")
        raise DataError(f"several images have this name: {', '.join(found[:3])}")


@LAYOUTS.register("table", summary="CSV, TSV or Excel with image, label, group and split columns")
class Table:
    """One row per image; columns are found by their usual names or named by options."""

    priority = 10

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether a table is given, or lies alone beside images without class folders."""
        return options.table is not None or (len(tree.tables) == 1 and not tree.top_folders())

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return the images that the table names."""
        path = self._path(tree, options)
        frame = read_table(path)
        columns = _columns(frame, options)
        listing = Listing("table", [])
        splits = _splits(frame, columns["split"], options, listing)
        if not any(splits):
            columns["split"] = None  # guessed, and it was none
        extra = [name for name in frame.columns if name not in columns.values()]
        kept = tuple(name if name not in _RESERVED else f"table_{name}" for name in extra)
        listing.extra_columns = kept
        finder, seen = Finder(tree), set()
        assert columns["image"] is not None
        for row, value in enumerate(frame[columns["image"]]):
            try:
                relative = finder.find(value)
                if relative in seen:
                    raise DataError("appears twice in the table")
            except DataError as error:
                listing.missing.append((value or f"row {row + 2}", error.problem))
                continue
            seen.add(relative)
            item = Item(
                tree.root / relative,
                relative,
                label=_cell(frame, columns["label"], row),
                group=_cell(frame, columns["group"], row),
                split=splits[row],
                extra=tuple(frame[extra].iloc[row]),
            )
            listing.items.append(item)
        listing.items.sort(key=lambda item: item.relative)
        self._describe(listing, columns, path, len(tree.images) - len(seen))
        return (
            apply_group_pattern(listing, options.group_pattern)
            if (options.group_pattern and listing.items)
            else listing
        )

    def _path(self, tree: Tree, options: ImportOptions) -> Path:
        if options.table is None:
            if len(tree.tables) != 1:
                found = ", ".join(tree.tables[:5]) or "none"
                raise DataError(f"which table? {tree.root} has {found}", "name it with --table")
            return tree.root / tree.tables[0]
        inside = tree.root / options.table
        return inside if inside.is_file() else options.table

    def _describe(
        self, listing: Listing, columns: dict[str, str | None], path: Path, unlisted: int
    ) -> None:
        used = ", ".join(f"{role} from '{name}'" for role, name in columns.items() if name)
        listing.notes.append(f"table {path.name}: {used}")
        if columns["group"]:
            alone = sum(not item.group for item in listing.items)
            listing.groups_known = alone < len(listing.items)
            listing.group_rule = (
                f"column '{columns['group']}' of {path.name}"
                if listing.groups_known
                else UNKNOWN_GROUPS
            )
            if alone:
                listing.notes.append(f"{alone} rows have no group: own groups")
        unlabelled = sum(not item.label for item in listing.items)
        if columns["label"] and unlabelled:
            raise DataError(
                f"{unlabelled} rows of {path.name} have no label in '{columns['label']}'",
                "fill them in or leave those rows out",
            )
        if unlisted:
            listing.notes.append(f"{unlisted} images are not in the table and are left aside")


def _columns(frame: pd.DataFrame, options: ImportOptions) -> dict[str, str | None]:
    columns = {
        "image": pick_column(frame, "image", options.image_column),
        "label": pick_column(frame, "label", options.label_column),
        "group": pick_column(frame, "group", options.group_column),
        "split": pick_column(frame, "split", options.split_column),
    }
    if columns["image"] is None:
        raise DataError(
            f"no column of the table is named like an image: {', '.join(frame.columns)}",
            "name it with --image-column",
        )
    return columns


def _splits(
    frame: pd.DataFrame, column: str | None, options: ImportOptions, listing: Listing
) -> list[str]:
    """Return each row's split; a column that was only guessed is left out if it holds others."""
    if column is None:
        return [""] * len(frame)
    values = [SPLIT_NAMES.get(value.lower(), value) for value in frame[column]]
    unknown = sorted({value for value in values if value not in {*SPLIT_NAMES.values(), ""}})
    if not unknown:
        return values
    if options.split_column is None:
        listing.notes.append(f"column '{column}' holds no split names (such as {unknown[0]})")
        return [""] * len(frame)
    raise DataError(
        f"column '{column}' holds '{unknown[0]}', which is no split", "use train, val and test"
    )


def _cell(frame: pd.DataFrame, column: str | None, row: int) -> str:
    return "" if column is None else str(frame[column].iloc[row])
