"""Importers: folders and tables of images, in other people's layouts, become image sets.

A layout is one module here with a class registered in `LAYOUTS`; decoding, fitting and
writing are shared. Importing this package loads no image library.
"""

from __future__ import annotations

from medgain.data.importers.base import ImportOptions, Layout, Listing
from medgain.runtime.registry import Registry

LAYOUTS: Registry[type[Layout]] = Registry("layout", "medgain.data.importers")

from medgain.data.importers.importing import import_images  # noqa: E402  (needs LAYOUTS)

__all__ = ["LAYOUTS", "ImportOptions", "Layout", "Listing", "import_images"]
