"""A small image set and a plan over it, on which a study runs in seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medgain.imageset.imageset import Card, ImageSet


def draw(
    groups: int = 60, seed: int = 0, size: int = 16, name: str = "toy", test_share: float = 0.4
) -> ImageSet:
    """Noise with a bright square for the class "ill"; two images per group; official test part."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 200, (2 * groups, size, size, 1), dtype=np.uint8)
    ill = np.arange(2 * groups) // 2 % 3 == 0
    corners = rng.integers(0, size - 6, (2 * groups, 2))
    for image, (top, left), sick in zip(images, corners, ill, strict=True):
        if sick:
            image[top : top + 6, left : left + 6] = np.minimum(
                255, image[top : top + 6, left : left + 6] + 55
            )
    member = np.arange(2 * groups) // 2
    return ImageSet.from_arrays(
        images,
        labels=["ill" if sick else "well" for sick in ill],
        groups=[f"{name}-patient{number}" for number in member],
        splits=["test" if number >= (1 - test_share) * groups else "train" for number in member],
        image_ids=[f"{name}-{i:03d}" for i in range(2 * groups)],
        card=Card(
            name=name,
            classes=["ill", "well"],
            positive="ill",
            groups_known=True,
            group_rule="one group per made-up patient",
        ),
    )


def toy_plan(dataset: Path) -> dict[str, Any]:
    """A plan over `dataset` with every kind of arm."""
    return {
        "name": "toy",
        "dataset": str(dataset),
        "task": {"steps": 6, "batch_size": 16, "evaluate_every": 3},
        "protocol": {"kind": "official", "seeds": 2},
        "fractions": [0.5, 1.0],
        "reference": "real",
        "bootstrap": 100,
        "assess": False,
        "generators": {"gaussian": {}, "resampler": {"model": "copy"}},
        "arms": {
            "real": {},
            "oversample": {"oversample": 0.5},
            "classical": {"policy": {"rotation_deg": 10}},
            "gaussian": {"synthetic": {"generator": "gaussian", "ratio": 0.5}},
            "pretrained": {
                "synthetic": {
                    "generator": "resampler",
                    "count": {"ill": 4, "well": 6},
                    "use": "pretrain",
                }
            },
            "aa": {"same_as": "real"},
        },
        "runtime": {"device": "cpu", "precision": "fp32"},
    }
