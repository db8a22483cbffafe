"""Rows of a comparison's tables, and strips on one scale for all generators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from medgain.assess.compare.result import (
    ComparisonResult,
    DoneRow,
    ExtractorFidelity,
    FailedRow,
    TrainingCost,
)
from medgain.assess.compare.wording import done_rows, score_words
from medgain.assess.score.result import FidelityMetric, FidelityScore, FidelityScores
from medgain.report.charts.svg import MARKS
from medgain.runtime.text import NONE, count, duration, figure

TRAINING_IMAGES = "training images"
RANKED_BY = "kd"
# what these say, KD, density and coverage say already; they are in results.json
LEFT_OUT = ("frechet", "improved_precision", "improved_recall")
_HEIGHT = 24
_EDGE = 3.0
_Z = 1.96


@dataclass(frozen=True)
class ComparedRow:
    """A generator's scores, each with its interval; `reference` marks what is no candidate.

    `others` are those of `ScoreTable.others`, in that order.
    """

    name: str
    reference: bool
    kd: tuple[str, str]
    others: list[tuple[str, str]]
    strip: Markup


@dataclass(frozen=True)
class ScoreTable:
    """All generators by one extractor: of all images, or of a class."""

    title: str
    rows: Sequence[ComparedRow] = ()
    others: Sequence[FidelityMetric] = ()
    ruler: str = ""
    n: str = NONE
    null: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class ExtractorTables:
    """What one extractor says."""

    name: str
    identity: str
    tables: list[ScoreTable]


@dataclass(frozen=True)
class CostRow:
    """What a generator took, or why it has no score: `cause` and `remedy`."""

    name: str
    cause: str = ""
    remedy: str = ""
    time: str = ""
    kimg: str = ""
    speed: str = ""
    steps: str = ""
    memory: str = ""
    energy: str = ""
    drawing: str = ""
    models: int = 0
    precision: str = ""


class DistanceScale:
    """Places KDs of very different size on one strip: linear near 0, logarithmic beyond.

    Args:
        scores: all that is shown; the nulls' spread is where the logarithm begins.
    """

    def __init__(self, scores: Sequence[FidelityScore]) -> None:
        spread = max((_Z * score.null_sd + abs(score.null) for score in scores), default=0.0)
        self.unit = max(spread, 1e-6)
        ends = [self._bend(end) for score in scores for end in (score.ci_low, score.ci_high)]
        self.low, self.high = min([*ends, self._bend(-self.unit)]), max([*ends, 1.0])

    def __call__(self, value: float) -> float:
        """Return the place of `value` in per cent of the strip's width."""
        share = (self._bend(value) - self.low) / (self.high - self.low)
        return round(_EDGE + share * (100 - 2 * _EDGE), 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Return (place, label) of 0 and of powers of ten that lie within the strip."""
        most = math.sinh(self.high) * self.unit
        powers = range(math.ceil(math.log10(2 * self.unit)), math.floor(math.log10(most)) + 1)
        values = [0.0, *(10.0**power for power in powers)]
        return [(self(value), f"{value:g}") for value in values]

    def _bend(self, value: float) -> float:
        return math.asinh(value / self.unit)


def distance_strip(score: FidelityScore, scale: DistanceScale) -> Markup:
    """Return a strip: the null as a band (±1.96 sd), the KD with its interval as a mark."""
    null, sd = score.null, score.null_sd
    low, high = scale(null - _Z * sd), scale(null + _Z * sd)
    middle = _HEIGHT / 2
    return Markup(
        '<svg class="strip c2" height="{h}" aria-hidden="true">'
        '<rect x="{b}%" width="{w}%" y="0" height="100%" class="nullband"/>'
        '<line x1="{l}%" x2="{r}%" y1="{m}" y2="{m}" class="interval"/>'
        '<svg x="{v}%" y="{m}" overflow="visible"><path d="{d}" class="mark"/></svg></svg>'
    ).format(
        h=_HEIGHT,
        b=low,
        w=max(round(high - low, 2), 0.6),
        l=scale(score.ci_low),
        r=scale(score.ci_high),
        m=middle,
        v=scale(score.value),
        d=MARKS["diamond"],
    )


def ruler(scale: DistanceScale) -> Markup:
    """Return the ruler below the strips."""
    parts = [
        Markup('<text x="{}%" y="12" text-anchor="middle">{}</text>').format(place, label)
        for place, label in scale.ticks()
    ]
    return Markup('<svg class="strip ruler" height="16" aria-hidden="true">{}</svg>').format(
        Markup("").join(parts)
    )


def shown_metrics(result: ComparisonResult) -> list[FidelityMetric]:
    """Return the registered metrics that have a column: KD, then every other not left out."""
    known = [metric for metric in result.metrics if metric.name not in LEFT_OUT]
    return sorted(known, key=lambda metric: metric.name != RANKED_BY)


def score_table(result: ComparisonResult, feature: int = 0, label: str | None = None) -> ScoreTable:
    """Return the table of one extractor and scope: rows, ruler, N, the null.

    Generators are sorted by KD, then the training images; those without a score are not
    there.
    """
    title = "All images" if label is None else f"Class {label}"
    entries = [
        (row.model, row.control, found)
        for row in done_rows(result).values()
        if (found := _scope(row.features, feature, label)) is not None
    ]
    entries.sort(key=lambda entry: entry[2].scores["kd"].value)
    reference = _scope(result.training_images.features, feature, label)
    if reference is not None:
        entries.append((TRAINING_IMAGES, True, reference))
    if not entries:
        return ScoreTable(title)
    scale = DistanceScale([found.scores["kd"] for _, _, found in entries])
    first, shown = entries[0][2], shown_metrics(result)
    null = [
        (metric.label, f"{figure(one.null, one.null_sd)} ± {figure(one.null_sd, one.null_sd)}")
        for metric in shown
        for one in [first.scores[metric.name]]
    ]
    rows = [
        ComparedRow(
            name,
            control,
            score_words(found.scores[RANKED_BY]),
            [score_words(found.scores[metric.name]) for metric in shown[1:]],
            distance_strip(found.scores["kd"], scale),
        )
        for name, control, found in entries
    ]
    return ScoreTable(title, rows, shown[1:], ruler(scale), count(first.n), null)


def extractor_tables(result: ComparisonResult) -> list[ExtractorTables]:
    """Return, per extractor, the table of all images and one per class."""
    first = next(iter(done_rows(result).values()), None)
    return [
        ExtractorTables(
            block.name,
            block.identity,
            [score_table(result, number, scope.label) for scope in block.scopes],
        )
        for number, block in enumerate(first.features if first else [])
    ]


def cost_rows(result: ComparisonResult) -> list[CostRow]:
    """Return what each generator took, in the order of the ranking, and why others failed."""
    order = {name: place for place, name in enumerate(result.ranking)}
    rows = []
    for row in sorted(result.rows, key=lambda row: order.get(row.model, math.inf)):
        if isinstance(row, DoneRow):
            rows.append(_cost_row(row))
        elif isinstance(row, FailedRow):
            rows.append(CostRow(row.model, row.cause, row.remedy))
        else:
            rows.append(CostRow(row.model, "not trained yet"))
    return rows


def _cost_row(row: DoneRow) -> CostRow:
    cost = row.cost
    return CostRow(
        name=row.model,
        time=duration(cost.seconds),
        kimg=f"{cost.images_seen / 1000:.1f}",
        speed=speed(cost),
        steps=count(cost.steps),
        memory=count(cost.peak_memory_mb),
        energy=energy(cost),
        drawing=duration(100 * cost.drawing_seconds / max(cost.drawn, 1)),
        models=row.models,
        precision=cost.precision or NONE,
    )


def speed(cost: TrainingCost) -> str:
    """Return images shown per second of training."""
    return f"{cost.images_seen / cost.seconds:,.0f}" if cost.seconds else NONE


def energy(cost: TrainingCost) -> str:
    """Return the energy of training in Wh and what tells it, or a dash."""
    return NONE if cost.energy_wh is None else f"{cost.energy_wh:.3g} Wh ({cost.energy_source})"


def _scope(
    features: Sequence[ExtractorFidelity], feature: int, label: str | None
) -> FidelityScores | None:
    """Return an extractor's scores of a scope, or None where there are none."""
    if not features:
        return None
    for scope in features[feature].scopes:
        if scope.label == label and isinstance(scope.fidelity, FidelityScores):
            return scope.fidelity
    return None
