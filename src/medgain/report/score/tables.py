"""The tables of the score page: scores with their nulls, two-sample tests, training, masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from medgain.assess.score.result import (
    ConsistencyScore,
    ConsistencyScores,
    Estimate,
    FidelityMetric,
    FidelityScore,
    FigureGap,
    NotDone,
    ScopeScores,
    ScoreResult,
    SideFigure,
    TrainingScores,
)
from medgain.metrics.base import split_metric
from medgain.report.charts.svg import MARKS
from medgain.report.shared.metrics import metric_name
from medgain.runtime.text import NONE, count, decimals, figure, interval, p_value, points, span

HEIGHT = 24
_EDGE = 4.0
_Z = 1.96


@dataclass(frozen=True)
class ScoreRow:
    """A fidelity score beside its null."""

    name: str
    lower: bool
    summary: str
    value: str
    interval: str
    null: str
    worse: bool
    word: str
    strip: Markup


@dataclass(frozen=True)
class ScopeTable:
    """The scores of all images or of a class, or the reason why there are none."""

    title: str
    reason: str
    rows: list[ScoreRow]
    n: str


@dataclass(frozen=True)
class ExtractorView:
    """What one extractor says."""

    name: str
    facts: list[str]
    scopes: list[ScopeTable]


@dataclass(frozen=True)
class TwoSampleRow:
    """A classifier two-sample test, or the reason why there is none."""

    how: str
    where: str
    reason: str = ""
    auroc: str = ""
    auroc_interval: str = ""
    accuracy: str = ""
    accuracy_interval: str = ""
    p: str = ""
    p_rule: str = ""
    n: str = ""


@dataclass(frozen=True)
class TrainingRow:
    """A classifier: what it was trained and tested on; each figure with its interval or ""."""

    trained: str
    tested: str
    name: str
    auroc: tuple[str, str]
    balanced: tuple[str, str]


@dataclass(frozen=True)
class TrainingView:
    """The table of TSTR, its reference and its mirror, or the reason why there is none."""

    reason: str = ""
    rows: Sequence[TrainingRow] = ()
    gap: tuple[str, str] = ("", "")
    balanced_gap: tuple[str, str] = ("", "")
    images: str = ""
    repeats: str = ""
    steps: str = ""
    model: str = ""
    tested_real: str = ""
    tested_synthetic: str = ""


@dataclass(frozen=True)
class ConsistencyRow:
    """A figure of both sides, with their gap in points."""

    name: str
    of: str
    synthetic: tuple[str, str]
    real: tuple[str, str]
    gap: str
    gap_interval: str
    shuffled: str
    reading: str
    worse: bool


@dataclass(frozen=True)
class Sides:
    """Something of either side, in words or as a data URI."""

    synthetic: str = ""
    real: str = ""


@dataclass(frozen=True)
class ConsistencyView:
    """The table of images against masks, or the reason why there is none."""

    reason: str = ""
    rows: Sequence[ConsistencyRow] = ()
    classes: str = ""
    images: Sides = Sides()
    groups: Sides = Sides()
    model: str = ""
    steps: str = ""
    training_images: str = ""
    sheets: Sides = Sides()


def extractor_views(result: ScoreResult) -> list[ExtractorView]:
    """Return a view per extractor: identity, then a table for the whole set and each class."""
    views = []
    for block in result.features:
        facts = [block.identity, f"{count(block.dimensions)} numbers per image"]
        auroc = block.details.get("validation_auroc")
        if auroc is not None:
            facts.append(f"AUROC {decimals(auroc)} on its own validation images")
        tables = [_scope_table(scope, result.metrics) for scope in block.scopes]
        views.append(ExtractorView(block.name, facts, tables))
    return views


def _scope_table(scope: ScopeScores, metrics: list[FidelityMetric]) -> ScopeTable:
    title = "All images" if scope.label is None else f"Class {scope.label}"
    found = scope.fidelity
    if isinstance(found, NotDone):
        return ScopeTable(title, found.reason, [], NONE)
    rows = [_score_row(metric, found.scores[metric.name]) for metric in metrics]
    return ScopeTable(title, "", rows, count(found.n))


def _score_row(metric: FidelityMetric, score: FidelityScore) -> ScoreRow:
    spread = score.null_sd
    return ScoreRow(
        name=metric.label,
        lower=not metric.higher_is_better,
        summary=metric.summary,
        value=figure(score.value, spread),
        interval=f"{figure(score.ci_low, spread)} to {figure(score.ci_high, spread)}",
        null=f"{figure(score.null, spread)} ± {figure(spread, spread)}",
        worse=score.worse_than_null,
        word="worse" if score.worse_than_null else "as real",
        strip=score_strip(score),
    )


def score_strip(score: FidelityScore) -> Markup:
    """Return a strip: the null as a band (±1.96 sd), the score with its interval as a mark."""
    null, sd = score.null, score.null_sd
    band = null - _Z * sd, null + _Z * sd
    ends = [*band, score.ci_low, score.ci_high, score.value]
    low, high = min(ends), max(ends)
    width = (high - low) or 1.0

    def at(value: float) -> float:
        return round(_EDGE + (value - low) / width * (100 - 2 * _EDGE), 2)

    middle = HEIGHT / 2
    return Markup(
        '<svg class="strip c2" height="{h}" aria-hidden="true">'
        '<rect x="{b}%" width="{w}%" y="0" height="100%" class="nullband"/>'
        '<line x1="{n}%" x2="{n}%" y1="0" y2="100%" class="zero"/>'
        '<line x1="{l}%" x2="{r}%" y1="{m}" y2="{m}" class="interval"/>'
        '<svg x="{v}%" y="{m}" overflow="visible"><path d="{d}" class="mark"/></svg></svg>'
    ).format(
        h=HEIGHT,
        b=at(band[0]),
        w=max(round(at(band[1]) - at(band[0]), 2), 0.6),
        n=at(null),
        l=at(score.ci_low),
        r=at(score.ci_high),
        m=middle,
        v=at(score.value),
        d=MARKS["diamond"],
    )


def two_sample_rows(result: ScoreResult) -> list[TwoSampleRow]:
    """Return a row per classifier two-sample test."""
    tests = [
        (f"logistic regression on {block.name}", scope.label, scope.two_sample)
        for block in result.features
        for scope in block.scopes
    ]
    tests.append(("small CNN on the pixels", None, result.pixel_test))
    rows = []
    for how, label, test in tests:
        where = label or "all images"
        if isinstance(test, NotDone):
            rows.append(TwoSampleRow(how, where, reason=test.reason))
            continue
        rows.append(
            TwoSampleRow(
                how,
                where,
                auroc=decimals(test.auroc),
                auroc_interval=span(test.auroc_low, test.auroc_high),
                accuracy=decimals(test.accuracy),
                accuracy_interval=span(test.accuracy_low, test.accuracy_high),
                p=p_value(test.p_value),
                p_rule=test.p_rule,
                n=count(test.n),
            )
        )
    return rows


def training_view(found: TrainingScores | NotDone) -> TrainingView:
    """Return the table of TSTR, its reference and its mirror."""
    if isinstance(found, NotDone):
        return TrainingView(reason=found.reason)
    rows = [
        TrainingRow(trained, tested, name, _mean(one.auroc), _mean(one.balanced_accuracy))
        for one, trained, tested, name in (
            (found.tstr, "synthetic images", "real images", "TSTR"),
            (found.trtr, "real images, as many", "real images", "reference"),
            (found.trts, "real images, as many", "synthetic images", "TRTS"),
        )
    ]
    per_class = ", ".join(f"{count(n)} {label}" for label, n in found.per_class.items())
    return TrainingView(
        rows=rows,
        gap=_mean_gap(found.gap.auroc),
        balanced_gap=_mean_gap(found.gap.balanced_accuracy),
        images=f"{count(found.images)} ({per_class})",
        repeats=count(found.repeats),
        steps=count(found.steps),
        model=found.model,
        tested_real=count(found.tested_real),
        tested_synthetic=count(found.tested_synthetic),
    )


def consistency_view(
    found: ConsistencyScores | NotDone | None, sheets: Sides
) -> ConsistencyView | None:
    """Return the table of images against masks; None for sets without masks.

    Args:
        sheets: of images with their masks; "" where there are none.
    """
    if found is None:
        return None
    if isinstance(found, NotDone):
        return ConsistencyView(reason=found.reason)
    several = len(found.mask_classes) > 1
    rows = [
        _consistency_row(name, score)
        for name, score in found.scores.items()
        if several or "[" not in name
    ]
    segmenter = found.segmenter
    return ConsistencyView(
        rows=rows,
        classes=", ".join(found.mask_classes),
        images=Sides(count(found.images.synthetic), count(found.images.real)),
        groups=Sides(count(found.groups.synthetic), count(found.groups.real)),
        model=segmenter.model if segmenter else NONE,
        steps=count(segmenter.steps if segmenter else None),
        training_images=count(segmenter.training_images if segmenter else None),
        sheets=sheets,
    )


def _consistency_row(name: str, score: ConsistencyScore) -> ConsistencyRow:
    metric, of = split_metric(name)
    low, high = score.gap.ci_low, score.gap.ci_high
    reading = NONE
    if low is not None and high is not None:
        reading = "fits less" if high < 0 else "easier" if low > 0 else "as real"
    return ConsistencyRow(
        name=metric_name(metric),
        of=of,
        synthetic=_side(score.synthetic),
        real=_side(score.real),
        gap=points(score.gap.value),
        gap_interval=_points_interval(score.gap),
        shuffled=decimals(score.shuffled),
        reading=reading,
        worse=reading == "fits less",
    )


def set_facts(result: ScoreResult) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what the two sets are, as (title, pairs)."""
    real, synthetic = result.real, result.synthetic
    height, width = real.size_px
    kind = "grey" if real.channels == 1 else "colour"
    made = synthetic.made_by or {}
    real_pairs = [
        ("name", real.name),
        ("origin", real.origin),
        ("held out", f"{count(real.held_out)} images of {count(real.groups)} groups"),
        ("by class", _classes(real.per_class)),
        ("compared", count(real.compared)),
        ("to train on", count(real.train)),
        ("division", real.rule),
        ("groups", real.group_rule),
        ("images", f"{width} × {height} px, {kind}"),
        ("fingerprint", real.fingerprint[:16]),
    ]
    synthetic_pairs = [
        ("name", synthetic.name),
        ("origin", synthetic.origin),
        ("images", count(synthetic.images)),
        ("by class", _classes(synthetic.per_class)),
        ("compared", count(synthetic.compared)),
        ("generator", str(made.get("generator", NONE))),
        ("trained on", count(made.get("training_images"))),
        ("fingerprint", synthetic.fingerprint[:16]),
    ]
    return [("Real", real_pairs), ("Synthetic", synthetic_pairs)]


def _classes(per_class: dict[str, int]) -> str:
    return ", ".join(f"{label} {count(n)}" for label, n in per_class.items())


def _mean(found: Estimate) -> tuple[str, str]:
    if found.ci_low is None or found.ci_high is None:
        return decimals(found.mean), ""
    return decimals(found.mean), span(max(found.ci_low, 0.0), min(found.ci_high, 1.0))


def _mean_gap(found: Estimate) -> tuple[str, str]:
    return points(found.mean), _points_interval(found)


def _side(found: SideFigure) -> tuple[str, str]:
    if found.ci_low is None or found.ci_high is None:
        return decimals(found.value), ""
    return decimals(found.value), span(found.ci_low, found.ci_high)


def _points_interval(found: Estimate | FigureGap) -> str:
    if found.ci_low is None or found.ci_high is None:
        return ""
    return interval(found.ci_low, found.ci_high)
