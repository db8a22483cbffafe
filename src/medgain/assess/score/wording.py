"""What the scores say, in sentences."""

from __future__ import annotations

from medgain.assess.score.result import (
    ConsistencyScore,
    ConsistencyScores,
    Estimate,
    ExtractorScores,
    FidelityScore,
    FidelityScores,
    NotDone,
    SideFigure,
    TrainingScores,
    TwoSampleTest,
)
from medgain.metrics.base import find_metric, split_metric
from medgain.metrics.fidelity.scores import fidelity_metrics
from medgain.runtime.text import (
    count,
    decimals,
    figure,
    gain,
    listing,
    p_relation,
    percent,
    points,
    span,
)

MAIN_SCORES = ("kd", "improved_precision", "improved_recall")  # what a sentence has room for


def score_sentence(key: str, score: FidelityScore) -> str:
    """Return "KD 0.031 (real-real 0.002 ± 0.001)" with the interval."""
    spread = score.null_sd
    value, low, high, null = (
        figure(number, spread) for number in (score.value, score.ci_low, score.ci_high, score.null)
    )
    beside = f"real-real {null} ± {figure(spread, spread)}"
    return f"{find_metric(key).label} {value} ({percent(0.95)} interval {low} to {high}; {beside})"


def short_score(key: str, score: FidelityScore) -> str:
    """Return "KD 0.031 (real-real 0.002 ± 0.001)"."""
    spread = score.null_sd
    value, null = figure(score.value, spread), figure(score.null, spread)
    return f"{find_metric(key).label} {value} (real-real {null} ± {figure(spread, spread)})"


def scope_sentence(features: str, label: str | None, found: FidelityScores | NotDone) -> str:
    """Return what one extractor says about the whole set (`label` None), or a class."""
    where = "overall" if label is None else f"class {label}"
    if isinstance(found, NotDone):
        return f"By {features}, {where}: not scored, for {found.reason}."
    scores = found.scores
    metrics = fidelity_metrics()
    worse = [metric.label for metric in metrics if scores[metric.name].worse_than_null]
    main = "; ".join(short_score(key, scores[key]) for key in MAIN_SCORES)
    if not worse:
        verdict = "no score is worse than between two halves of real images"
    elif len(worse) == len(metrics):
        verdict = "every score is worse than between two halves of real images"
    else:
        verdict = f"worse than between two halves of real images in {listing(worse)}"
    return f"By {features}, {where}, N = {count(found.n)} a side: {verdict}. {main}."


def two_sample_sentence(features: str, test: TwoSampleTest | NotDone) -> str:
    """Return what a classifier two-sample test found."""
    if isinstance(test, NotDone):
        return f"Telling real from synthetic by {features}: not tested, for {test.reason}."
    how = "a small CNN" if features == "pixels" else f"logistic regression on {features}"
    found = (
        f"AUROC {decimals(test.auroc)} ({span(test.auroc_low, test.auroc_high)};"
        f" 0.5 would be guessing), {p_relation(test.p_value)}, N = {count(test.n)} a side"
    )
    if test.p_value >= 0.05:
        return f"Found no way to tell real from synthetic images with {how}: {found}."
    return f"Synthetic images can be told from real ones with {how}: {found}."


def training_sentences(found: TrainingScores | NotDone) -> list[str]:
    """Return what training on synthetic images, and testing on them, found."""
    if isinstance(found, NotDone):
        return [f"Train on synthetic, test on real: not done, for {found.reason}."]
    gap = found.gap.auroc
    return [
        f"Trained on {count(found.images)} synthetic images alone, a classifier reaches AUROC"
        f" {_measured(found.tstr.auroc)} on held-out real images; trained on as many real ones in"
        f" as many steps, {_measured(found.trtr.auroc)}. Difference"
        f" {_points(gap.mean, gap.ci_low, gap.ci_high, 'one repeat')}.",
        f"The classifier trained on real images reaches AUROC {_measured(found.trts.auroc)} on the"
        f" synthetic ones ({decimals(found.trtr.auroc.mean)} on real ones): how well their labels"
        " fit.",
    ]


def consistency_sentences(
    found: ConsistencyScores | NotDone | None, *, by_class: bool = True
) -> list[str]:
    """Return how well synthetic images fit their masks; nothing for sets without masks."""
    if found is None:
        return []
    if isinstance(found, NotDone):
        return [f"Whether images fit their masks: not checked, for {found.reason}."]
    names = [f"dice[{name}]" for name in found.mask_classes]
    if len(names) == 1 or not by_class:
        names = []
    return [_fit_sentence(name, found.scores[name]) for name in ("dice", *names)]


def _fit_sentence(name: str, score: ConsistencyScore) -> str:
    of = split_metric(name)[1]
    where = f"{of}: " if of else ""
    own, other, gap = score.synthetic, score.real, score.gap
    if own.value is None or other.value is None or gap.value is None:
        return (
            f"Whether images fit their masks, {of or 'all classes'}: undefined, for a class is in"
            " no mask."
        )
    if gap.ci_high is not None and gap.ci_high < 0:
        verdict = "Synthetic images fit their masks less well than real ones do"
    elif gap.ci_low is not None and gap.ci_low > 0:
        verdict = "Synthetic images are easier to outline than real ones are"
    else:
        verdict = "Found no difference in how synthetic and real images fit their masks"
    return (
        f"{verdict}: {where}a segmenter trained on real pairs reaches Dice {_interval(own)} on"
        f" synthetic images, {_interval(other)} on held-out real ones; difference"
        f" {_points(gap.value, gap.ci_low, gap.ci_high, 'one group')}."
    )


def _interval(found: SideFigure) -> str:
    if found.ci_low is None or found.ci_high is None:
        return f"{decimals(found.value)} (one group: no interval)"
    return f"{decimals(found.value)} ({span(found.ci_low, found.ci_high)})"


def headline(
    first: ExtractorScores,
    training: TrainingScores | NotDone,
    consistency: ConsistencyScores | NotDone | None,
) -> str:
    """Return the answer in one sentence: the first extractor's word, then what training says."""
    found, name = first.scopes[0].fidelity, first.name
    if isinstance(found, NotDone):
        said = f"Not scored by {name}: {found.reason}"
    else:
        apart = any(score.worse_than_null for score in found.scores.values())
        said = (
            "Synthetic images differ from held-out real ones"
            f" {'more' if apart else 'no more'} than real ones do from each other by {name}:"
            f" {short_score('kd', found.scores['kd'])}"
        )
    if isinstance(consistency, ConsistencyScores):
        dice = consistency.scores["dice"]
        if dice.gap.value is not None:
            said += (
                ". A segmenter trained on real pairs finds their masks with Dice"
                f" {decimals(dice.synthetic.value)}, those of real images with"
                f" {decimals(dice.real.value)}"
            )
    if isinstance(training, NotDone):
        return said + "."
    return (
        f"{said}. A classifier trained on them alone reaches AUROC"
        f" {decimals(training.tstr.auroc.mean)} on real images, one trained on as many real images"
        f" {decimals(training.trtr.auroc.mean)}."
    )


def _measured(found: Estimate) -> str:
    if found.ci_low is None or found.ci_high is None:
        return f"{decimals(found.mean)} (one repeat: no interval)"
    low, high = max(found.ci_low, 0.0), min(found.ci_high, 1.0)
    return f"{decimals(found.mean)} ({span(low, high)})"


def _points(value: float, low: float | None, high: float | None, one: str) -> str:
    if low is None or high is None:
        return f"{points(value)} points ({one}: no interval)"
    return gain(value, low, high)
