"""The classifier two-sample test: can a classifier tell synthetic images from real ones?

Lopez-Paz and Oquab 2017, ICLR. AUROC 0.5 is what a perfect generator gives; 1 means that every
synthetic image gives itself away. One image per group on either side, so that all rows are
independent; as many real as synthetic ones.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from medgain.assess.extractors import classifier_config
from medgain.assess.score.logistic import auroc_variance, out_of_fold
from medgain.assess.score.result import NotDone, TwoSampleTest
from medgain.imageset.imageset import Card, ImageSet
from medgain.metrics import auroc
from medgain.metrics.fidelity.inputs import thin
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TrainingData
from medgain.tasks.classification.task import ClassificationTask

FOLDS = 5
PERMUTATIONS = 499
LEAST_UNITS = 20  # per side
TRAIN_SHARE, VALIDATION_SHARE = 0.4, 0.1  # of the pixel test's images; the rest are tested
_Z = 1.959963984540054


def choose_units(
    real: ImageSet, synthetic: ImageSet, seeds: SeedTree, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of equally many real and synthetic images, one of each group."""
    rng = seeds.child("units").numpy()
    one = _one_per_group(real, rng)
    other = _one_per_group(synthetic, rng)
    count = min(len(one), len(other), limit)
    return np.sort(one[:count]), np.sort(other[:count])


def linear_test(
    real: np.ndarray, synthetic: np.ndarray, seeds: SeedTree
) -> TwoSampleTest | NotDone:
    """Return the test by logistic regression on features, cross-validated in five folds.

    The p-value is that of a permutation test of the AUROC: labels are exchanged within folds
    and everything is fitted again, so it is exact at any N and any number of features.

    Args:
        real, synthetic: features (N, D) and (M, D), one row per group; the larger is thinned.
    """
    count = min(len(real), len(synthetic))
    if count < LEAST_UNITS:
        return NotDone(reason=f"{count} images per side are too few (it takes {LEAST_UNITS})")
    rng = seeds.child("folds").numpy()
    features = np.concatenate([thin(real, count, rng), thin(synthetic, count, rng)])
    truth = np.repeat([0.0, 1.0], count)
    fold = np.concatenate([rng.permutation(np.arange(count) % FOLDS) for _ in range(2)])
    labels = np.tile(truth[:, None], (1, PERMUTATIONS + 1))
    for number in range(FOLDS):
        rows = np.flatnonzero(fold == number)
        labels[rows, 1:] = rng.permuted(labels[rows, 1:], axis=0)
    scored = out_of_fold(features, labels, fold)
    areas, accuracies = scored.auroc(labels), scored.accuracy(labels)
    variance = (
        sum(
            auroc_variance(scored.values[fold == number, 0], truth[fold == number])
            for number in range(FOLDS)
        )
        / FOLDS**2
    )
    return _described(
        area=float(areas[0]),
        variance=variance,
        accuracy=float(accuracies[0]),
        tested=len(truth),
        per_side=count,
        p_value=float(((areas[1:] >= areas[0]).sum() + 1) / (PERMUTATIONS + 1)),
        p_rule=f"{PERMUTATIONS} permutations",
    )


def network_test(
    real: ImageSet,
    synthetic: ImageSet,
    seeds: SeedTree,
    *,
    steps: int,
    device: torch.device,
) -> TwoSampleTest | NotDone:
    """Return the test by a small CNN on the pixels: trained on one half, tested on the other.

    The p-value is the Mann-Whitney test's on the half that the network never saw.

    Args:
        real, synthetic: equally many images, one per group.
    """
    if len(real) < LEAST_UNITS:
        return NotDone(reason=f"{len(real)} images per side are too few (it takes {LEAST_UNITS})")
    if min(real.size_px) < 16:
        return NotDone(reason="the CNN takes images of 16 px or more")
    both = _as_one_set(real, synthetic)
    rng = seeds.child("halves").numpy()
    parts: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    for code in (0, 1):
        rows = rng.permutation(np.flatnonzero(both.label_codes == code))
        first = max(2, round(TRAIN_SHARE * len(rows)))
        second = first + max(2, round(VALIDATION_SHARE * len(rows)))
        for name, part in zip(parts, np.split(rows, [first, second]), strict=True):
            parts[name].append(part)
    sets = {name: both.take(np.sort(np.concatenate(rows))) for name, rows in parts.items()}
    task = ClassificationTask(classifier_config(steps))
    data = TrainingData(sets["train"], sets["validation"])
    result = task.fit(data, seeds=seeds.child("network"), device=device)
    truth = sets["test"].label_codes
    score = task.predict(result, sets["test"])[:, 1]
    called = score >= 0.5 if result.threshold is None else score >= result.threshold
    test = stats.mannwhitneyu(score[truth == 1], score[truth == 0], alternative="greater")
    return _described(
        area=float(auroc(truth, np.column_stack([1 - score, score]), positive=1)),
        variance=auroc_variance(score, truth.astype(np.float64)),
        accuracy=float((called == (truth == 1)).mean()),
        tested=len(truth),
        per_side=len(real),
        p_value=float(test.pvalue),
        p_rule="Mann-Whitney on the half not trained on",
        steps=result.steps,
    )


def _described(
    *,
    area: float,
    variance: float,
    accuracy: float,
    tested: int,
    per_side: int,
    p_value: float,
    p_rule: str,
    steps: int | None = None,
) -> TwoSampleTest:
    low, high = area - _Z * np.sqrt(variance), area + _Z * np.sqrt(variance)
    if variance == 0:  # complete separation: DeLong knows no uncertainty there
        low, high = wilson(area, tested // 2)
    accuracy_low, accuracy_high = wilson(accuracy, tested)
    return TwoSampleTest(
        auroc=area,
        auroc_low=float(max(low, 0.0)),
        auroc_high=float(min(high, 1.0)),
        accuracy=accuracy,
        accuracy_low=accuracy_low,
        accuracy_high=accuracy_high,
        p_value=p_value,
        p_rule=p_rule,
        n=per_side,
        tested=tested,
        steps=steps,
    )


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of `count` (Wilson 1927, JASA 22)."""
    if count < 1:
        return 0.0, 1.0
    centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * np.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def _one_per_group(images: ImageSet, rng: np.random.Generator) -> np.ndarray:
    """Return one position of each group, in random order."""
    order = rng.permutation(len(images))
    _, first = np.unique(images.groups[order].astype(str), return_index=True)
    return order[np.sort(first)]


def _as_one_set(real: ImageSet, synthetic: ImageSet) -> ImageSet:
    card = Card(name="real or synthetic", classes=["real", "synthetic"], positive="synthetic")
    return ImageSet.from_arrays(
        np.concatenate([np.asarray(real.images), np.asarray(synthetic.images)]),
        labels=["real"] * len(real) + ["synthetic"] * len(synthetic),
        card=card,
    )
