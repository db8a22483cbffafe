"""medgain: does augmentation help my medical-image model, by how much, and may I share the images?

The public names below load on first use, so that importing medgain stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from medgain.runtime.version import __version__

if TYPE_CHECKING:
    from medgain.augment.policy import Policy as Policy
    from medgain.imageset.imageset import Card as Card
    from medgain.imageset.imageset import ImageSet as ImageSet
    from medgain.importing.run import import_images as import_images
    from medgain.study import Study as Study


_PUBLIC = {
    "ImageSet": "medgain.imageset.imageset",
    "Card": "medgain.imageset.imageset",
    "Study": "medgain.study",
    "Policy": "medgain.augment.policy",
    "import_images": "medgain.importing.run",
}
__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'medgain' has no attribute '{name}'")
