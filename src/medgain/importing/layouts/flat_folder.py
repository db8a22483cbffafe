"""A flat folder: images without classes, for generators or for looking at."""

from __future__ import annotations

from medgain.importing.grouping import apply_group_pattern
from medgain.importing.layouts import LAYOUTS
from medgain.importing.layouts.base import Item, Listing
from medgain.importing.options import ImportOptions
from medgain.importing.tree import Tree


@LAYOUTS.register("flat", summary="images without labels, in one folder or many")
class FlatFolder:
    """Every image below the source, without a label or a split."""

    priority = 0

    def matches(self, tree: Tree, options: ImportOptions) -> bool:
        """Tell whether there is no table (any folder can be read as a flat one)."""
        return options.table is None

    def find(self, tree: Tree, options: ImportOptions) -> Listing:
        """Return all images, grouped by ``--group-pattern`` if given."""
        listing = Listing("flat", [Item(tree.root / path, path) for path in tree.images])
        if options.group_pattern:
            return apply_group_pattern(listing, options.group_pattern)
        return listing
