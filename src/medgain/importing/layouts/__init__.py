"""The layouts that an import knows. A module here registers its own; there is no list to edit.

Decoding, fitting and writing are shared. Importing this package loads no image library.
"""

from __future__ import annotations

from medgain.importing.layouts.base import Layout, Listing
from medgain.runtime.registry import Registry

LAYOUTS: Registry[type[Layout]] = Registry("layout", "medgain.importing.layouts")

__all__ = ["LAYOUTS", "Layout", "Listing"]
