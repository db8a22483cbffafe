"""The exchange rate: how many real images an arm is worth, read off the learning curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medgain.runtime.errors import DataError
from medgain.runtime.text import count, percent
from medgain.study.records.verdict import Beyond

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ExchangeRate:
    """What an arm is worth in real images: n(m) − n(f), negative if it costs images.

    Attributes:
        estimate: number of images. With `beyond="above"` the arm is better than the reference
            at its largest fraction and this is a lower bound. With `beyond="below"` it is worse
            than the reference at its smallest, and this follows the curve's first slope on; it
            never goes below −n(f).
        low, high: 95 % interval over resampled cells; NaN with fewer than two.
        beyond, low_beyond, high_beyond: the same two marks for each of the three.
    """

    estimate: float
    low: float
    high: float
    beyond: Beyond = ""
    low_beyond: Beyond = ""
    high_beyond: Beyond = ""

    def text(self) -> str:
        """Return it in words: "worth about 310 real images (95 % interval 120 to 640)"."""
        rounded = _round(self.estimate)
        if self.beyond == "above":
            head = (
                f"worth more than {count(rounded)} real images"
                if rounded > 0
                else "worth more real images than the learning curve reaches"
            )
        elif rounded == 0:
            head = "worth about as many real images as the reference had"
        else:
            # a cost keeps its minus sign, as its interval does: "worth about −240 (−540 to 330)"
            head = f"worth about {count(rounded)} real images"
            head += " (below the learning curve's start)" if self.beyond == "below" else ""
        if np.isnan(self.low):
            return head
        low, high = count(_round(self.low)), count(_round(self.high))
        first = f"more than {low}" if self.low_beyond == "above" else low
        last = f"more than {high}" if self.high_beyond == "above" else high
        ends = first if self.low_beyond == "above" else f"{first} to {last}"
        return f"{head} ({percent(0.95)} interval {ends})"


def exchange_rate(
    curve_n: ArrayLike,
    curve_metric: ArrayLike,
    arm_n: ArrayLike,
    arm_metric: ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
    higher_is_better: bool = True,
) -> ExchangeRate | None:
    """Return what an arm at one fraction is worth in real images, or None.

    The reference's mean metric at each fraction is made monotone in the number of real images
    (isotonic regression, Barlow et al. 1972) and joined by straight lines over log n. n(m) is
    the number at which that curve reaches the arm's mean metric; where the curve is flat at m,
    the number nearest to the arm's own. The interval is the 2.5 and 97.5 % quantile over
    resamples of the cells; a cell (fold and seed) brings its reference at every fraction and
    its arm along, as they share images. It holds the noise of training and splitting; an
    official test set is the same in all resamples.

    Args:
        curve_n: (F, J) real training images of the reference, by fraction and cell.
        curve_metric: (F, J) its metric; NaN for failed cells.
        arm_n: (J,) or one number: the arm's real training images.
        arm_metric: (J,) the arm's metric in the same cells; NaN for failed cells.
        rng: source of randomness.
        resamples: number of resamples.
        higher_is_better: direction of the metric.

    Returns:
        None where there is no curve (fewer than two fractions with a result) or no arm.

    Raises:
        DataError: shapes disagree, or a number of images is not positive.
    """
    sign = 1.0 if higher_is_better else -1.0
    numbers, curve = np.asarray(curve_n, np.float64), sign * np.asarray(curve_metric, np.float64)
    arm = sign * np.asarray(arm_metric, np.float64)
    if curve.ndim != 2 or numbers.shape != curve.shape or arm.shape != curve.shape[1:]:
        raise DataError(
            f"the curve has shapes {numbers.shape} and {curve.shape}, the arm {arm.shape}",
            "give (fractions, cells) twice, then (cells,)",
        )
    own = np.broadcast_to(np.asarray(arm_n, np.float64), arm.shape)
    if (numbers[np.isfinite(curve)] <= 0).any() or (own[np.isfinite(arm)] <= 0).any():
        raise DataError("a number of real images is 0 or less", "count the images of each cell")
    cells = np.arange(len(arm))
    point = _worth(numbers, curve, own, arm, cells)
    if point is None:
        return None
    estimate, beyond = point
    drawn = [rng.integers(len(cells), size=len(cells)) for _ in range(resamples)]
    usable = np.isfinite(arm).sum() >= 2 and (np.isfinite(curve).sum(axis=1) >= 2).any()
    worths = [_worth(numbers, curve, own, arm, draw) for draw in drawn] if usable else []
    ends = _quantiles([worth for worth in worths if worth is not None])
    return ExchangeRate(estimate, ends[0][0], ends[1][0], beyond, ends[0][1], ends[1][1])


def _worth(
    numbers: FloatArray, curve: FloatArray, own: FloatArray, arm: FloatArray, cells: NDArray
) -> tuple[float, Beyond] | None:
    """Return n(m) − n(f) in one choice of cells, and whether m is off the curve."""
    valid = np.isfinite(curve[:, cells])
    there = valid.any(axis=1)
    scored = np.isfinite(arm[cells])
    count = valid.sum(axis=1)[there]
    if not scored.any() or len(count) < 2:
        return None
    weights = valid[there]
    logs = (np.log(np.where(weights, numbers[there][:, cells], 1.0)) * weights).sum(axis=1) / count
    means = np.where(weights, curve[there][:, cells], 0.0).sum(axis=1) / count
    logs, first = np.unique(logs, return_index=True)
    if len(logs) < 2:
        return None
    fitted = _isotonic(means[first], count[first].astype(np.float64))
    own_log = float(np.log(own[cells][scored]).mean())
    reached, beyond = _invert(logs, fitted, float(arm[cells][scored].mean()), own_log)
    return float(np.exp(reached) - np.exp(own_log)), beyond


def _isotonic(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the nearest non-decreasing sequence in weighted least squares (pool adjacent)."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        level, mass, length = value, weight, 1
        while blocks and blocks[-1][0] >= level:
            before, heavy, long = blocks.pop()
            level = (before * heavy + level * mass) / (heavy + mass)
            mass, length = mass + heavy, length + long
        blocks.append((level, mass, length))
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def _invert(
    logs: FloatArray, fitted: FloatArray, metric: float, own_log: float
) -> tuple[float, Beyond]:
    """Return log n at which the monotone curve reaches `metric`."""
    if metric > fitted[-1]:
        return float(logs[-1]), "above"
    if metric < fitted[0]:
        rising = np.flatnonzero(np.diff(fitted) > 0)
        if not len(rising):
            return -np.inf, "below"
        step = int(rising[0])
        slope = (fitted[step + 1] - fitted[step]) / (logs[step + 1] - logs[step])
        return float(logs[0] - (fitted[0] - metric) / slope), "below"
    # the curve is at `metric` from `start` to `stop`: one point, or a flat stretch
    below, above = int((fitted < metric).sum()), int((fitted <= metric).sum())
    if above > below:
        return float(np.clip(own_log, logs[below], logs[above - 1])), ""
    share = (metric - fitted[below - 1]) / (fitted[below] - fitted[below - 1])
    return float(logs[below - 1] + share * (logs[below] - logs[below - 1])), ""


def _quantiles(worths: list[tuple[float, Beyond]]) -> list[tuple[float, Beyond]]:
    """Return the 2.5 and 97.5 % quantiles; what is off the upper end ranks above all else."""
    if len(worths) < 2:
        return [(float("nan"), ""), (float("nan"), "")]
    ranked = sorted(worths, key=lambda worth: (worth[1] == "above", worth[0]))
    last = len(ranked) - 1
    return [ranked[int(np.floor(0.025 * last))], ranked[int(np.ceil(0.975 * last))]]


def _round(value: float) -> int:
    """Return the value at two significant digits, whole images."""
    if not np.isfinite(value) or abs(value) < 100:
        return round(value)
    unit = 10 ** (int(np.floor(np.log10(abs(value)))) - 1)
    return int(round(value / unit) * unit)
