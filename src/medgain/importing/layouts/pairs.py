"""Pairs: a folder of images and a folder of masks, matched by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from medgain.importing.grouping import apply_group_pattern
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Item, Listing
from medgain.importing.layouts.table import Table
from medgain.importing.options import ImportOptions
from medgain.importing.tree import SPLIT_NAMES, Tree
from medgain.runtime.errors import DataError

USUAL_FOLDERS = (("images", "masks"), ("image", "mask"), ("2d_images", "2d_masks"))
_ENDINGS = ("_mask", "-mask", "_seg", "_segmentation", "_label", "_labels", "_gt")


def inside(path: str, folder: str) -> str | None:
    """Return `path` without `folder`, a path it begins with or one name on its way; else None.

    So that train/images/1.png and train/masks/1.png have one key, train/1.png.
    """
    folder = PurePosixPath(folder.replace("\\", "/")).as_posix()
    if folder == ".":
        return path
    if path.startswith(f"{folder}/"):
        return path[len(folder) + 1 :]
    parts = PurePosixPath(path).parts
    if "/" not in folder and folder in parts[:-1]:
        where = parts.index(folder)
        return "/".join((*parts[:where], *parts[where + 1 :]))
    return None


def find_folders(tree: Tree, options: ImportOptions) -> tuple[str | None, str] | None:
    """Return the names of the folders of images (None: all but the masks') and masks, if any."""
    if options.masks is not None:
        return options.images, options.masks
    everything = [*tree.images, *tree.masks]
    for images, masks in USUAL_FOLDERS:
        if options.images not in (None, images):
            continue
        if all(any(inside(path, name) for path in everything) for name in (images, masks)):
            return images, masks
    return None


@LAYOUTS.register("pairs", summary="a folder of images and one of masks, matched by name")
class Pairs:
    """images/NAME.png and masks/NAME.png, or as `--images` and `--masks` call the folders."""

    priority = 50

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether the folders are named by options, or bear usual names."""
        if not tree.images and not tree.masks:
            return False
        if options.masks is not None:
            return not tree.dicom  # else its images are DICOM files, and another layout's
        return find_folders(tree, options) is not None

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return each image with its mask; those without their counterpart are missing."""
        folders = find_folders(tree, options)
        if folders is None:
            raise DataError(
                f"{tree.root} has no folders of images and masks",
                "name them with --images and --masks",
            )
        images, masks = _keyed(tree, folders, tree.root)
        if options.table is not None:
            only = replace(tree, images=sorted(images.values()))
            listing = Table().find(only, replace(options, group_pattern=None))
        else:
            items = [
                Item(tree.root / path, path, split=_split(path)) for path in sorted(images.values())
            ]
            listing = Listing("pairs", items)
            if tree.tables:
                listing.notes.append(
                    f"a table lies there too, unread: {tree.tables[0]} (read it with --table)"
                )
        listing.layout = "pairs"
        listing.reads = frozenset({"images", "masks"})
        _match(listing, tree, images, masks)
        if options.group_pattern and listing.items:
            return apply_group_pattern(listing, options.group_pattern)
        return listing


def _keyed(
    tree: Tree, folders: tuple[str | None, str], root: object
) -> tuple[dict[str, str], dict[str, str]]:
    """Return images and masks by key: their path without folder and suffix.

    Raises:
        DataError: a folder is not there or empty, or two files have one key.
    """
    image_folder, mask_folder = folders
    everything = sorted([*tree.images, *tree.masks])
    mask_paths = {path: key for path in everything if (key := inside(path, mask_folder))}
    if image_folder is None:
        image_paths = {path: path for path in tree.images if path not in mask_paths}
    else:
        image_paths = {
            path: key
            for path in everything
            if (key := inside(path, image_folder)) and path not in mask_paths
        }
    for option, folder, found in (
        ("--images", image_folder or ".", image_paths),
        ("--masks", mask_folder, mask_paths),
    ):
        if not found:
            raise DataError(
                f"no images in folder '{folder}' of {root}", f"name the folder with {option}"
            )
    return _by_key(image_paths, "images"), _by_key(mask_paths, "masks")


def _by_key(paths: dict[str, str], what: str) -> dict[str, str]:
    keyed: dict[str, str] = {}
    for path, relative in paths.items():
        key = PurePosixPath(relative).with_suffix("").as_posix()
        if key in keyed:
            raise DataError(
                f"two {what} have one name: {keyed[key]} and {path}",
                "an image and its mask are matched by name: remove one of the two",
            )
        keyed[key] = path
    return keyed


def _match(listing: Listing, tree: Tree, images: dict[str, str], masks: dict[str, str]) -> None:
    """Give each item its mask; put items without one, and masks without an image, in `missing`."""
    keys = {path: key for key, path in images.items()}
    found = _without_endings(masks, images)
    if not found:  # masks lie in other folders than images: their names alone may tell
        names = {_name(key): key for key in images}
        bare = {_name(key): path for key, path in masks.items()}
        if len(names) == len(images) and len(bare) == len(masks):
            found = {names[name]: path for name, path in _without_endings(bare, names).items()}
    items = []
    for item in listing.items:
        key = keys[item.relative]
        if key not in found:
            listing.missing.append((item.relative, _no_mask(key, masks)))
            continue
        items.append(replace(item, mask=tree.root / found[key], image_id=key))
    listing.items = items
    used = set(found.values())
    for key, path in masks.items():
        if path not in used:
            listing.missing.append((path, f"a mask without an image (none is called {key})"))


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _without_endings(masks: dict[str, str], images: Iterable[str]) -> dict[str, str]:
    """Return masks by the key of their image, which may lack the mask's ending ("_mask")."""
    wanted, found = set(images), {}
    for key, path in masks.items():
        shorter = (key[: -len(end)] for end in _ENDINGS if key.lower().endswith(end))
        match = next((name for name in (key, *shorter) if name in wanted), None)
        if match is not None and (match == key or match not in found):
            found[match] = path
    return found


def _no_mask(key: str, masks: dict[str, str]) -> str:
    example = next(iter(masks.values()))
    return f"it has no mask (no mask is called {key}; the first is {example})"


def _split(path: str) -> str:
    """Return the split that a folder on the way names, or ""."""
    names = [SPLIT_NAMES.get(part.lower()) for part in PurePosixPath(path).parts[:-1]]
    return next((name for name in names if name), "")
