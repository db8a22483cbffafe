"""Every registered generator as small as it can be, and a set that it can be trained on."""

from __future__ import annotations

from typing import Any

from medgain.generators.base import GENERATORS, Budget, Generator
from medgain.imageset.imageset import ImageSet

# as small as each allows; a generator that is not named here is tried with its defaults
SMALL: dict[str, dict[str, Any]] = {
    "biggan": {"width": 2, "latent": 8, "embedding": 4, "batch_size": 8},
    "cyclegan": {"width": 2, "blocks": 1, "batch_size": 8, "pool": 4},
    "dcgan": {"width": 4, "batch_size": 8},
    "ddpm": {"width": 8, "batch_size": 8, "sample_steps": 3},
    "discogan": {"width": 2, "batch_size": 4},
    "gan": {"width": 2, "batch_size": 8},
    "gaussian": {"components": 8},
    "pix2pix": {"width": 2, "batch_size": 2},
    "progan": {"width": 4, "latent": 4, "batch_size": 8},
    "r3gan": {"width": 16, "batch_size": 8},
    "stargan": {"width": 2, "blocks": 1, "batch_size": 4},
    # with all that it has, also what short runs leave out
    "stylegan2": {
        "width": 8,
        "latent": 8,
        "batch_size": 8,
        "noise_maps": True,
        "path_weight": 2.0,
    },
}
BUDGET = Budget(kimg=0.08)


def new(name: str, **changes: Any) -> Generator:
    """Return the generator called `name`, as small as it can be."""
    kind = GENERATORS.get(name)
    return kind(kind.Config(**SMALL.get(name, {}), **changes))


def training_set(name: str, make_set: Any, count: int = 24, **changes: Any) -> ImageSet:
    """Return a set that the generator called `name` can be trained on; it has masks."""
    kind = GENERATORS.get(name)
    size = min(kind.sizes_px, default=16)
    if kind.condition == "image":  # translates from one class to another
        changes.setdefault("labels", (["normal", "ill"] * count)[:count])
    return make_set(count, **{"size": size, "masks": True, **changes})
