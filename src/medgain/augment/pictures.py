"""Before and after: what a policy did to some images, for people to look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from medgain.augment.policy import Policy


class BeforeAfter(NamedTuple):
    """One image (H, W, C) before and after a policy, in words what was done, and its masks."""

    before: NDArray[np.generic]
    after: NDArray[np.generic]
    description: str
    masks: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None


def before_after(
    policy: Policy,
    images: NDArray[np.generic],
    generator: torch.Generator,
    count: int = 6,
    masks: NDArray[np.uint8] | None = None,
) -> list[BeforeAfter]:
    """Apply `policy` to the first `count` of `images` (N, H, W, C), uint8 or uint16.

    Args:
        masks: the images' own (N, H, W), moved alike.

    Returns:
        One entry per image; `after` has the shape and dtype of `before`, and `masks` holds the
        mask (H, W) before and after where there are masks.
    """
    chosen = np.array(images[:count])  # a copy: an image set's array is mapped read-only
    planes = chosen.transpose(0, 3, 1, 2)
    params = policy.draw(len(chosen), (chosen.shape[1], chosen.shape[2]), generator)
    after = policy.apply(planes, params).transpose(0, 2, 3, 1)
    shown = [BeforeAfter(chosen[i], after[i], params.describe(i)) for i in range(len(chosen))]
    if masks is None:
        return shown
    own = np.array(masks[:count])
    _, moved = policy.apply(planes, params, own)
    return [
        one._replace(masks=(before, after))
        for one, before, after in zip(shown, own, moved, strict=True)
    ]
