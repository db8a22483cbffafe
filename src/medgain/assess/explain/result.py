"""What a discriminator looks at: the record that `explain.json` holds."""

from __future__ import annotations

from typing import Literal

from medgain.runtime.records import Record

EXPLAIN_FILE = "explain.json"
Origin = Literal["real", "synthetic"]


class ExplainedSet(Record):
    """The real images that the discriminator was shown."""

    name: str
    origin: str
    modality: str
    size_px: tuple[int, int]
    channels: int
    groups_known: bool
    group_rule: str


class ExplainRequest(Record):
    """What is asked for.

    Attributes:
        layers: numbers of convolutions, from 1 in the order in which they run; () for all but
            those of 1 × 1, None for every one.
        filters: how many of each layer.
        split: part of the real images, see `generator_part`.
        limit: how many real, and as many synthetic images at most.
        seed: of the images that are drawn.
    """

    layers: tuple[int, ...] | None = ()
    filters: int = 4
    split: str | None = None
    limit: int = 400
    seed: int = 0


class ByOrigin(Record):
    """A figure of real and of synthetic images."""

    real: float
    synthetic: float


class DiscriminatorScores(Record):
    """Mean scores, their difference, and how often a real image's is above a synthetic one's."""

    real: float
    synthetic: float
    difference: float
    auroc: float


class FilterTile(Record):
    """An image that excites a filter.

    Attributes:
        tile: position among the part's pictures.
        place: row and column of the strongest response.
        box: top, left, bottom, right of what the filter sees from there, in pixels; bottom and
            right are beyond the last.
    """

    tile: int
    origin: Origin
    image_id: str
    label: str
    response: float
    place: tuple[int, int]
    box: tuple[int, int, int, int]


class FilterResult(Record):
    """A filter, and the images that excite it most.

    Attributes:
        contribution: what it adds to the mean score of real images less that of synthetic ones.
        at_edge: share of the real images whose strongest place is at the edge.
        field_px: height and width of what it sees, at most.
    """

    filter: int
    contribution: float
    speaks_for: Origin
    at_edge: float
    strongest_mean: ByOrigin
    field_px: tuple[int, int]
    images: list[FilterTile]


class LayerResult(Record):
    """A convolution with its strongest filters; `kernel_px` is 0 of the score itself.

    Attributes:
        helpful: filters whose contribution is positive.
        half_from: how many of these, the best first, make up half of their sum.
    """

    number: int
    name: str
    kernel_px: int
    filters_in_all: int
    size_px: tuple[int, int]
    contribution: float
    helpful: int
    half_from: int
    filters: list[FilterResult]


class DiscriminatorResult(Record):
    """What one discriminator looks at; `label` is the class, of one per class, or "".

    Attributes:
        labels: classes of images that it knows as real.
        real, synthetic: which images it was shown, in words.
        trained_on_these: whether the real ones are the very part that it was trained on.
    """

    label: str
    labels: list[str]
    real: str
    synthetic: str
    trained_on_these: bool
    trained_on: str
    trained_kimg: float | None
    scores: DiscriminatorScores
    layers_in_all: int
    layers: list[LayerResult]


class ExplainResult(Record):
    """What the discriminators of a run look at: one part for each of them."""

    format: Literal[1] = 1
    medgain: str
    run: str
    generator: str
    set: ExplainedSet
    request: ExplainRequest
    parts: list[DiscriminatorResult]
