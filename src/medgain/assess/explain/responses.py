"""How a discriminator's filters respond, and what each adds to telling real from synthetic.

To first order, switching a filter off (setting it to its mean response) changes an image's score
by Σ (a − ā) · ∂score/∂a over the filter's places: the Taylor criterion of Molchanov, Tyree,
Karras, Aila and Kautz 2017, Pruning Convolutional Neural Networks for Resource Efficient
Inference (arXiv:1611.06440), with its sign kept and the mean in the place of zero. A filter's
contribution is the mean of that over real images less its mean over synthetic ones: what it adds
to the distance between both means of the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medgain.assess.explain.gradients import Rectifiers, watching
from medgain.assess.explain.pools import Pool
from medgain.assess.explain.subject import Layer, Subject

BATCH = 16  # whole groups of 4, over which ProGAN and StyleGAN2 compare images
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Responses:
    """How the filters of one layer respond to N images.

    Attributes:
        strongest: (N, F), each image's strongest response.
        places: (N, F), where: a position in the rows of places, one after another.
        means: (F,), mean response over images and places.
        products: (F,), mean over images of Σ response · ∂score/∂response over places.
        slopes: (F,), mean over images of Σ ∂score/∂response over places.
    """

    strongest: NDArray[np.float32]
    places: NDArray[np.int64]
    means: Floats
    products: Floats
    slopes: Floats


@dataclass(frozen=True)
class Measured:
    """All layers' responses to some images, and the images' scores (N,)."""

    layers: list[Layer]
    responses: Mapping[str, Responses]
    scores: Floats


def measure(subject: Subject, pool: Pool) -> Measured:
    """Return how all layers of a discriminator respond to the images of `pool`."""
    modules = subject.watched()
    parts: dict[str, list[tuple[torch.Tensor, ...]]] = {}
    layers: list[Layer] = []
    scores = []
    for start in range(0, len(pool), BATCH):
        rows = slice(start, min(start + BATCH, len(pool)))
        images = pool.at(rows).to(subject.device).requires_grad_(True)
        with watching(modules) as outputs, Rectifiers("plain"):
            score = subject.score(images, pool.conditions.at(rows))
        slopes = torch.autograd.grad(score.sum(), list(outputs.values()), allow_unused=True)
        used = {  # what leads elsewhere, to classes for instance, is left out
            name: (output.detach(), slope)
            for (name, output), slope in zip(outputs.items(), slopes, strict=True)
            if slope is not None
        }
        layers = layers or subject.layers({name: output for name, (output, _) in used.items()})
        scores.append(score.detach().double().cpu())
        for name, (output, slope) in used.items():
            parts.setdefault(name, []).append(_reduced(output, slope))
    responses = {name: _joined(found) for name, found in parts.items()}
    return Measured(layers, responses, torch.cat(scores).numpy())


def contributions(real: Responses, synthetic: Responses) -> Floats:
    """Return what each filter (F,) of a layer adds to mean score of real less synthetic images."""
    mean = (real.means + synthetic.means) / 2
    gained: Floats = (real.products - mean * real.slopes) - (
        synthetic.products - mean * synthetic.slopes
    )
    return gained


def auroc_of_scores(real: Floats, synthetic: Floats) -> float:
    """Return how often a real image's score is above a synthetic one's (AUROC); ties are half."""
    above = (real[:, None] > synthetic).mean() + (real[:, None] == synthetic).mean() / 2
    return float(above)


def _reduced(output: torch.Tensor, slope: torch.Tensor) -> tuple[torch.Tensor, ...]:
    responses, slopes = output.flatten(2), slope.flatten(2)
    strongest, places = responses.max(2)
    own = (
        responses.double().mean(2),
        (responses.double() * slopes.double()).sum(2),
        slopes.double().sum(2),
    )
    return strongest.float().cpu(), places.cpu(), *(values.cpu() for values in own)


def _joined(parts: list[tuple[torch.Tensor, ...]]) -> Responses:
    strongest, places, means, products, slopes = (
        torch.cat(column).numpy() for column in zip(*parts, strict=True)
    )
    return Responses(strongest, places, means.mean(0), products.mean(0), slopes.mean(0))
