"""Train on synthetic, test on real (TSTR), its mirror (TRTS), and the same with real images.

Esteban et al. 2017, arXiv:1706.02633. Both classifiers get equally many images of each class and
equal steps; the one trained on synthetic images never sees a real one, not even to choose its
weights or its threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats

from medgain.assess.extractors import VALIDATION_SHARE, classifier_config
from medgain.assess.score.result import ClassifierScores, Estimate, NotDone, TrainingScores
from medgain.imageset.imageset import ImageSet
from medgain.imageset.splits import split_validation
from medgain.metrics import auroc, balanced_accuracy
from medgain.runtime.errors import DataError, TrainingFailure
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import FitResult, TrainingData
from medgain.tasks.classification.task import ClassificationTask

LEAST_PER_CLASS = 10
BOOTSTRAP = 400
_METRICS = {"auroc": auroc, "balanced_accuracy": balanced_accuracy}
RUNS = {
    "tstr": ("synthetic", "real"),
    "trtr": ("real", "real"),
    "trts": ("real", "synthetic"),
}


@dataclass(frozen=True)
class _RunPredictions:
    """Predictions of every repeat on one test set."""

    images: ImageSet
    predictions: list[np.ndarray]
    thresholds: list[float | None]


@dataclass(frozen=True)
class _Values:
    """A figure of each repeat, (J,), and of each under each bootstrap sample, (J, B)."""

    measured: np.ndarray
    resampled: np.ndarray


def train_and_test(
    train: ImageSet | None,
    held_out: ImageSet,
    synthetic: ImageSet,
    *,
    seeds: SeedTree,
    repeats: int,
    steps: int,
    device: torch.device,
    advance: Callable[[int, str], None] = lambda count, note: None,
) -> TrainingScores | NotDone:
    """Return AUROC and balanced accuracy of TSTR, TRTR and TRTS, and TSTR's gap to TRTR.

    Where it can't be done (one class, too few images, no real training part): why.

    Args:
        train: real images to train the reference on.
        held_out: real images to test on.
        repeats: trainings of each classifier, each on a draw and a seed of its own.
    """
    plan = _plan(train, held_out, synthetic)
    if isinstance(plan, str) or train is None:
        return NotDone(reason=plan if isinstance(plan, str) else "no real training part")
    classes = list(plan)
    sources = {"synthetic": synthetic, "real": train}
    tests = {"real": _only(held_out, classes), "synthetic": _only(synthetic, classes)}
    tested = {name: _RunPredictions(tests[on], [], []) for name, (_, on) in RUNS.items()}
    task = ClassificationTask(classifier_config(steps))
    for number in range(repeats):
        for source, images in sources.items():
            try:
                fitted = _fit(task, images, plan, seeds.child(source, number), device)
            except (TrainingFailure, DataError) as error:
                return NotDone(
                    reason=f"the classifier of the {source} images failed: {error.problem}"
                )
            for name, (trained_on, _) in RUNS.items():
                if trained_on == source:
                    tested[name].predictions.append(task.predict(fitted, tested[name].images))
                    tested[name].thresholds.append(fitted.threshold)
            advance(1, f"classifier on {source} images")
    rng = seeds.child("bootstrap").numpy()
    weights = {on: group_weights(images, rng) for on, images in tests.items()}
    found = {name: _summary(tested[name], weights[on]) for name, (_, on) in RUNS.items()}
    gap = {
        metric: _Values(
            found["tstr"][metric].measured - found["trtr"][metric].measured,
            found["tstr"][metric].resampled - found["trtr"][metric].resampled,
        )
        for metric in _METRICS
    }
    return TrainingScores(
        tstr=_estimates(found["tstr"]),
        trtr=_estimates(found["trtr"]),
        trts=_estimates(found["trts"]),
        gap=_estimates(gap),
        per_class=plan,
        images=sum(plan.values()),
        tested_real=len(tests["real"]),
        tested_synthetic=len(tests["synthetic"]),
        repeats=repeats,
        steps=steps,
        model=task.config.model,
    )


def _plan(train: ImageSet | None, held_out: ImageSet, synthetic: ImageSet) -> dict[str, int] | str:
    """Return how many images of each class both classifiers get, or why there can be none."""
    if not held_out.classes or not synthetic.classes:
        return "labels are missing"
    if min(held_out.size_px) < 16:
        return "the CNN takes images of 16 px or more"
    if train is None:
        return "all real images are held out: there is none to train the reference on"
    counts = {}
    for label in held_out.classes:
        own = [int((part.records["label"] == label).sum()) for part in (train, held_out, synthetic)]
        if min(own) >= LEAST_PER_CLASS:
            counts[label] = min(own[0], own[2])
    if len(counts) < 2:
        have = sorted(set(synthetic.records["label"]))
        return (
            f"it takes {LEAST_PER_CLASS} images or more of two classes in the synthetic set, the"
            f" real training part and the held-out part; the synthetic set has {', '.join(have)}"
        )
    return counts


def _only(images: ImageSet, classes: list[str]) -> ImageSet:
    """Return the images of `classes`, which become the set's classes."""
    kept = images.take(np.flatnonzero(images.records["label"].isin(classes).to_numpy()))
    positive = kept.card.positive if kept.card.positive in classes else None
    card = kept.card.model_copy(update={"classes": classes, "positive": positive})
    return ImageSet(kept.images, kept.records, card)


def _fit(
    task: ClassificationTask,
    images: ImageSet,
    plan: dict[str, int],
    seeds: SeedTree,
    device: torch.device,
) -> FitResult:
    rng = seeds.child("draw").numpy()
    labels = images.records["label"].to_numpy()
    rows = [
        rng.choice(np.flatnonzero(labels == label), count, replace=False)
        for label, count in plan.items()
    ]
    drawn = _only(images.take(np.sort(np.concatenate(rows))), list(plan))
    fit, validation = split_validation(
        drawn, np.arange(len(drawn)), VALIDATION_SHARE, seeds.child("validation").numpy()
    )
    data = TrainingData(drawn.take(fit), drawn.take(validation))
    return task.fit(data, seeds=seeds, device=device)


def _summary(tested: _RunPredictions, weights: np.ndarray) -> dict[str, _Values]:
    truth, positive = tested.images.label_codes, tested.images.positive_code
    found = {}
    for name, metric in _METRICS.items():
        values, resampled = [], []
        for predicted, threshold in zip(tested.predictions, tested.thresholds, strict=True):
            options: dict[str, Any] = {"positive": positive, "threshold": threshold}
            values.append(metric(truth, predicted, **options))
            resampled.append(metric(truth, predicted, weights=weights, **options))
        found[name] = _Values(np.array(values), np.array(resampled))
    return found


def _estimate(values: np.ndarray, resampled: np.ndarray) -> Estimate:
    """Return the mean over repeats with a 95 % interval for new trainings and new test groups.

    SE² = s²/J + v, where s² is the variance over the J repeats and v that of the mean over
    bootstrap samples of test groups; a little too wide, as v holds some of s²/J. The critical
    value is the mean of both parts' Student values weighted by their variances (Cochran and Cox
    1950, Experimental Designs, section 4.14).

    Args:
        values: (J,) one per repeat.
        resampled: (J, B) the same under each bootstrap sample.
    """
    repeats = len(values)
    low = high = spread = float("nan")
    if repeats > 1:
        spread = float(values.std(ddof=1))
        seed_part = spread**2 / repeats
        test_part = float(np.nanvar(resampled.mean(axis=0), ddof=1))
        total = seed_part + test_part
        critical = _student(repeats - 1), _student(1e6)
        weighed = (seed_part * critical[0] + test_part * critical[1]) / total if total else 0.0
        half = weighed * np.sqrt(total)
        low, high = float(values.mean() - half), float(values.mean() + half)
    return Estimate(mean=float(values.mean()), ci_low=low, ci_high=high, sd_over_repeats=spread)


def _student(df: float) -> float:
    return float(stats.t.ppf(0.975, df))


def _estimates(values: dict[str, _Values]) -> ClassifierScores:
    found = {name: _estimate(one.measured, one.resampled) for name, one in values.items()}
    return ClassifierScores(**found)


def group_weights(images: ImageSet, rng: np.random.Generator) -> np.ndarray:
    """Return (BOOTSTRAP, N): how often each image is in each resample of whole groups."""
    _, codes = np.unique(images.groups.astype(str), return_inverse=True)
    count = int(codes.max()) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=BOOTSTRAP)
    return drawn[:, codes].astype(np.float64)
