"""medgain: does augmentation help my medical-image model, by how much, and may I share the images?

These names answer the three questions. They load on first use, so that importing medgain stays
fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from medgain.runtime.version import __version__ as __version__

if TYPE_CHECKING:
    from medgain.api import advise as advise
    from medgain.api import audit as audit
    from medgain.api import clean as clean
    from medgain.api import load_generator as load_generator
    from medgain.api import make_release as make_release
    from medgain.api import predict as predict
    from medgain.api import score as score
    from medgain.api import train as train
    from medgain.api import train_generator as train_generator
    from medgain.augment.policy import Policy as Policy
    from medgain.imageset.imageset import ImageSet as ImageSet
    from medgain.importing.run import import_images as import_images
    from medgain.study.study import Study as Study
    from medgain.study.study import open_study as open_study

_PUBLIC = {
    "ImageSet": "medgain.imageset.imageset",
    "Policy": "medgain.augment.policy",
    "Study": "medgain.study.study",
    "advise": "medgain.api",
    "audit": "medgain.api",
    "clean": "medgain.api",
    "import_images": "medgain.importing.run",
    "load_generator": "medgain.api",
    "make_release": "medgain.api",
    "open_study": "medgain.study.study",
    "predict": "medgain.api",
    "score": "medgain.api",
    "train": "medgain.api",
    "train_generator": "medgain.api",
}
__all__ = [
    "ImageSet",
    "Policy",
    "Study",
    "__version__",
    "advise",
    "audit",
    "clean",
    "import_images",
    "load_generator",
    "make_release",
    "open_study",
    "predict",
    "score",
    "train",
    "train_generator",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'medgain' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
