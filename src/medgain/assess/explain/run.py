"""What a discriminator looks at: its strongest filters, what excites them, and which pixels do.

For each convolution the filters are ranked by what they add to telling the real images from
those of the run's own generator; for the first of them the images and places that excite them
most are found, with guided gradients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medgain.assess.explain.pools import real_pool, synthetic_pool, wanted_labels
from medgain.assess.explain.responses import (
    Measured,
    auroc_of_scores,
    contributions,
    measure,
)
from medgain.assess.explain.result import (
    EXPLAIN_FILE,
    ByOrigin,
    DiscriminatorResult,
    DiscriminatorScores,
    ExplainedSet,
    ExplainRequest,
    ExplainResult,
    FilterResult,
    LayerResult,
)
from medgain.assess.explain.subject import Layer, Subject, subjects
from medgain.assess.explain.tiles import Tiles
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.files import atomic_folder
from medgain.runtime.progress import progress
from medgain.runtime.records import write_record
from medgain.runtime.version import __version__

PICTURES_FILE = "explain.npz"


def explain(
    run: Path,
    images: ImageSet | None,
    out: Path,
    request: ExplainRequest | None = None,
    *,
    device: torch.device | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> ExplainResult:
    """Write what the discriminators of `run` look at to the folder `out`, and return it.

    Args:
        run: folder of a run, of one generator or one per class.
        images: the real images, best the set that was trained on; its test part is left out.
        out: receives explain.json, and explain.npz with the pictures.

    Raises:
        DataError: there is no discriminator in `run`, or the images don't suit it.
        ConfigError: a layer or a number that there is not.
    """
    request = request or ExplainRequest()
    if request.filters < 1 or request.limit < 2:
        raise ConfigError(
            f"filters is {request.filters} and limit {request.limit}",
            "give at least 1 filter and 2 images",
        )
    found = list(subjects(Path(run)))
    if images is None:
        raise DataError(
            f"{run} doesn't record where its training images are",
            f"name their set, '{found[0].trained_on.name}', with --images",
        )
    pictures: dict[str, NDArray[Any]] = {}
    parts = []
    with (
        atomic_folder(out, overwrite=overwrite) as folder,
        progress(f"explain {run}", len(found), quiet=quiet) as advance,
    ):
        for number, subject in enumerate(found):
            part, own = _part(subject.to(device or torch.device("cpu")), images, request)
            parts.append(part)
            pictures |= {f"{number}/{name}": array for name, array in own.items()}
            advance(1, subject.label)
        result = ExplainResult(
            medgain=__version__,
            run=Path(run).resolve().name,
            generator=found[0].generator.name,
            set=_described(images),
            request=request,
            parts=parts,
        )
        write_record(folder / EXPLAIN_FILE, result)
        np.savez_compressed(folder / PICTURES_FILE, allow_pickle=False, **pictures)
    return result


def _part(
    subject: Subject, images: ImageSet, request: ExplainRequest
) -> tuple[DiscriminatorResult, dict[str, NDArray[Any]]]:
    """Return what one discriminator looks at, and the pictures of it."""
    real, trained = real_pool(subject, images, request.split, request.limit, request.seed)
    synthetic = synthetic_pool(subject, real, request.seed)
    measured = measure(subject, real), measure(subject, synthetic)
    tiles = Tiles(subject, real, synthetic)
    layers = [
        _layer(layer, measured, tiles, request.filters)
        for layer in chosen_layers(measured[0].layers, request.layers)
    ]
    scores = [one.scores for one in measured]
    part = DiscriminatorResult(
        label=subject.label,
        labels=[label for label in wanted_labels(subject) if label],
        real=real.about,
        synthetic=synthetic.about,
        trained_on_these=trained,
        trained_on=subject.trained_on.name,
        trained_kimg=subject.generator.trained_kimg,
        scores=DiscriminatorScores(
            real=float(scores[0].mean()),
            synthetic=float(scores[1].mean()),
            difference=float(scores[0].mean() - scores[1].mean()),
            auroc=auroc_of_scores(*scores),
        ),
        layers_in_all=len(measured[0].layers),
        layers=layers,
    )
    return part, tiles.arrays()


def chosen_layers(layers: list[Layer], asked: tuple[int, ...] | None) -> list[Layer]:
    """Return the layers asked for, as in `ExplainRequest`.

    Raises:
        ConfigError: there is no such layer.
    """
    if asked is None:
        return layers
    for number in asked:
        if not 1 <= number <= len(layers):
            raise ConfigError(
                f"there is no layer {number}: the discriminator has {len(layers)}",
                f"give numbers from 1 to {len(layers)}",
            )
    if not asked:
        return [layer for layer in layers if layer.kernel_px != 1] or layers
    return [layer for layer in layers if layer.number in asked]


def _layer(
    layer: Layer, measured: tuple[Measured, Measured], tiles: Tiles, count: int
) -> LayerResult:
    """Return a layer with its strongest filters."""
    responses = [one.responses[layer.name] for one in measured]
    gained = contributions(*responses)
    order = np.argsort(-gained, kind="stable")
    slopes = (responses[0].slopes + responses[1].slopes) / 2
    filters = []
    for channel in map(int, order[:count]):
        images, field_px = tiles.of_filter(layer, channel, measured)
        filters.append(
            FilterResult(
                filter=channel,
                contribution=float(gained[channel]),
                speaks_for="real" if slopes[channel] >= 0 else "synthetic",
                at_edge=edge_share(responses[0].places[:, channel], layer.size_px),
                strongest_mean=ByOrigin(
                    real=float(responses[0].strongest[:, channel].mean()),
                    synthetic=float(responses[1].strongest[:, channel].mean()),
                ),
                field_px=field_px,
                images=images,
            )
        )
    return LayerResult(
        number=layer.number,
        name=layer.name,
        kernel_px=layer.kernel_px,
        filters_in_all=layer.filters,
        size_px=layer.size_px,
        contribution=float(gained.sum()),
        helpful=int((gained > 0).sum()),
        half_from=half_from(gained),
        filters=filters,
    )


def half_from(gained: NDArray[np.float64]) -> int:
    """Return how many filters, the best first, make up half of all that is gained (at least 1)."""
    helpful = np.sort(gained[gained > 0])[::-1]
    return int((np.cumsum(helpful) < helpful.sum() / 2).sum()) + 1


def edge_share(places: NDArray[np.int64], size_px: tuple[int, int]) -> float:
    """Return the share of places (N,) that lie in the outermost row or column."""
    rows, columns = np.divmod(places, size_px[1])
    edge = (rows == 0) | (rows == size_px[0] - 1) | (columns == 0) | (columns == size_px[1] - 1)
    return float(edge.mean())


def _described(images: ImageSet) -> ExplainedSet:
    return ExplainedSet(
        name=images.card.name,
        origin=images.card.origin,
        modality=images.card.modality,
        size_px=images.size_px,
        channels=images.channels,
        groups_known=images.card.groups_known,
        group_rule=images.card.group_rule,
    )
