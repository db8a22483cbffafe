"""Simulated studies on an official test set, with a known truth, to check `inference.interval`.

Models score a shared, grouped test set. Images are hard or easy for all models, for all models
of an arm, or for one model only; trainings differ in how well they separate the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from medgain.metrics import accuracy, auroc
from medgain.study.inference.bootstrap import bootstrap_groups
from medgain.study.inference.interval import GainEstimate, gain_interval
from medgain.study.inference.simulation.tally import Tally, tally

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Tick = Callable[[int], None]
_Z = float(special.ndtri(0.975))


@dataclass(frozen=True)
class OfficialSetting:
    """Where the scores of an official test set vary; standard deviations, the noise in all ≈ 1.

    Attributes:
        metric: "auroc" or "accuracy".
        slope_sd: how much trainings differ in the separation of the classes.
        offset_sd: how much they differ in the operating point.
        model_sd: noise of one training on one image.
        arm_sd: noise of all trainings of an arm on one image.
        group_sd, image_sd: difficulty of a patient and of an image, for all models.
        separation: distance between the class means.
        effect: extra separation of the arm.
    """

    name: str
    metric: str = "auroc"
    slope_sd: float = 0.1
    offset_sd: float = 0.0
    model_sd: float = 0.4
    arm_sd: float = 0.3
    group_sd: float = 0.6
    image_sd: float = 0.8
    separation: float = 2.0
    effect: float = 0.0


@dataclass(frozen=True)
class ScoredPart:
    """Who is scored: the patient and the class of each image, and nothing else of it.

    Attributes:
        group: (N,) numbers 0 … G−1, each of them used.
        label: (N,) 1 for the positive class, 0 for the others; images of a group may differ.
    """

    group: IntArray
    label: IntArray

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.group.max()) + 1


def usual_part() -> ScoredPart:
    """Return 600 images in 300 groups of 1 to 3, half of them positive."""
    group = np.repeat(np.arange(300), np.tile([1, 2, 3], 100))
    return ScoredPart(group, (group // 3) % 2)  # equal numbers of both classes


def simulate_official(
    setting: OfficialSetting,
    repeats: Sequence[int],
    studies: int,
    rng: np.random.Generator,
    *,
    resamples: int = 200,
    tick: Tick | None = None,
) -> list[Tally]:
    """Return one tally for each J in `repeats`; a study of J cells is the first J of the largest.

    The test images are those of `usual_part`.
    """
    part = usual_part()
    truth = _official_truth(setting)
    estimates: list[list[GainEstimate]] = [[] for _ in repeats]
    bootstraps: list[list[bool]] = [[] for _ in repeats]
    for _ in range(studies):
        gains, boot = official_study(setting, part, max(repeats), resamples, rng)
        for index, count in enumerate(repeats):
            estimates[index].append(
                gain_interval(
                    gains[:count],
                    protocol="official",
                    n_test=part.groups,
                    boot_gains=boot[:, :count],
                )
            )
            spread = boot[:, :count].mean(axis=1).std(ddof=1)
            bootstraps[index].append(bool(abs(gains[:count].mean()) > _Z * spread))
        if tick:
            tick(1)
    return [
        tally(count, estimates[index], truth, float(np.mean(bootstraps[index])))
        for index, count in enumerate(repeats)
    ]


def official_study(
    setting: OfficialSetting,
    part: ScoredPart,
    repeats: int,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return the gains (J,) of one study, and in resamples of the test groups (B, J)."""
    shared = _difficulty(setting, part, rng)
    resampled = bootstrap_groups(part.group, resamples, rng)
    weights = np.vstack([np.ones(len(part.label)), resampled])
    metric = {"auroc": auroc, "accuracy": accuracy}[setting.metric]
    values = np.empty((2, repeats, resamples + 1))
    for arm, effect in enumerate((0.0, setting.effect)):
        of_arm = shared + setting.arm_sd * rng.standard_normal(len(part.label))
        for training in range(repeats):
            table = _predicted(setting, effect, part, of_arm, rng)
            values[arm, training] = metric(part.label, table, positive=1, weights=weights)
    gains = values[1] - values[0]
    return gains[:, 0], gains[:, 1:].T


def folds_study(
    setting: OfficialSetting,
    part: ScoredPart,
    folds: int,
    repeats: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the gains (folds · repeats,) of a cross-validated study whose trainings are new draws.

    Images keep their difficulty from repeat to repeat, as patients do. What the folds share by
    training on common images is not simulated (`simulation.cross_validation` does that): the
    spread of the gains is what this is for.
    """
    shared = _difficulty(setting, part, rng)
    metric = {"auroc": auroc, "accuracy": accuracy}[setting.metric]
    arms = [
        (effect, shared + setting.arm_sd * rng.standard_normal(len(part.label)))
        for effect in (0.0, setting.effect)
    ]
    gains = []
    for _ in range(repeats):
        fold = _draw_folds(part, folds, rng)
        for number in range(folds):
            own = fold == number
            values = [
                metric(
                    part.label[own], _predicted(setting, effect, part, of_arm, rng)[own], positive=1
                )
                for effect, of_arm in arms
            ]
            gains.append(float(values[1]) - float(values[0]))
    return np.array(gains)


def _difficulty(setting: OfficialSetting, part: ScoredPart, rng: np.random.Generator) -> FloatArray:
    shared = setting.group_sd * rng.standard_normal(part.groups)[part.group]
    shared += setting.image_sd * rng.standard_normal(len(part.label))
    return np.asarray(shared, np.float64)


def _predicted(
    setting: OfficialSetting,
    effect: float,
    part: ScoredPart,
    of_arm: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the probabilities (N, 2) of one new training of an arm."""
    slope, offset = _draw_training(setting, effect, rng)
    noise = setting.model_sd * rng.standard_normal(len(part.label))
    chance = special.expit(slope * (part.label - 0.5) + offset + of_arm + noise)
    return np.stack([1 - chance, chance], axis=1)


def _draw_folds(part: ScoredPart, folds: int, rng: np.random.Generator) -> IntArray:
    """Return each image's fold (N,): groups dealt out in turn, the positive ones first."""
    positive = np.bincount(part.group, weights=part.label) > 0
    order = rng.permutation(part.groups)
    order = order[np.argsort(~positive[order], kind="stable")]
    fold = np.empty(part.groups, np.int64)
    fold[order] = np.arange(part.groups) % folds
    return fold[part.group]


def _draw_training(
    setting: OfficialSetting, effect: float, rng: np.random.Generator
) -> tuple[float, float]:
    slope = setting.separation + effect + setting.slope_sd * rng.standard_normal()
    return float(slope), float(setting.offset_sd * rng.standard_normal())


def _official_truth(setting: OfficialSetting) -> float:
    """Return the expected gain: exact for a training, averaged over trainings by quadrature."""
    if not setting.effect:
        return 0.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    parts = (setting.model_sd, setting.arm_sd, setting.group_sd, setting.image_sd)
    noise = float(np.sqrt(np.sum(np.square(parts))))

    def expected(effect: float) -> float:
        slope = setting.separation + effect + setting.slope_sd * nodes[:, None]
        if setting.metric == "auroc":
            return float(weights @ special.ndtr(slope[:, 0] / (np.sqrt(2) * noise)))
        offset = setting.offset_sd * nodes[None, :]
        right = special.ndtr((slope / 2 + offset) / noise) + special.ndtr(
            (slope / 2 - offset) / noise
        )
        return float(weights @ (right / 2) @ weights)

    return expected(setting.effect) - expected(0.0)
