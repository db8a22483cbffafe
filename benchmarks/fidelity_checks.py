"""Do the fidelity scores say what they should on real images? Two checks, with figures.

1. Real against real: over random splits into disjoint halves, how often the kernel distance's
   interval covers 0, and density's and coverage's intervals their values for one distribution.
2. Ordering: one half made worse step by step (blur, noise, a class dropped), scored against the
   other half, untouched.

    python benchmarks/fidelity_checks.py IMAGE_SET [--splits 100] [--json FILE]

IMAGE_SET is a folder made by `medgain import`. Features are radiomics, standardised on the
untouched half.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from scipy import stats

from medgain.imageset.imageset import ImageSet
from medgain.metrics.fidelity import (
    disjoint_halves,
    frechet_distance,
    half_sample_se,
    kernel_distance,
    prdc,
    standardise,
)
from medgain.metrics.fidelity.inputs import thin
from medgain.metrics.radiomics.features import radiomics

K = 5
Z95 = 1.96
REPLICATES = 50
SCORES = ("kd", "frechet", "precision", "recall", "density", "coverage")


def expected_coverage(count: int, k: int = K) -> float:
    """Return coverage's mean for one distribution at equal N (Naeem et al. 2020)."""
    steps = np.arange(1, k + 1)
    return float(1 - np.prod((count - steps) / (2 * count - steps)))


def covered(
    features: np.ndarray, groups: np.ndarray | None, count: int, splits: int, seed: int
) -> dict[str, float]:
    """Return how many of `splits` random real-real splits say that there is no difference.

    "covered": the split's own 95 % interval holds 0 (kernel distance), 1 (density) or the closed
    form (coverage). "near_null": its value is within 1.96 standard deviations of the mean of the
    other splits, which is the null that a score is printed beside.
    """
    rng = np.random.default_rng(seed)
    cover = {"kd": 0, "density": 0, "coverage": 0}
    values: dict[str, list[float]] = {"kd": [], "density": [], "coverage": []}
    targets = {"density": 1.0, "coverage": expected_coverage(count)}
    quantile = stats.t.ppf(0.975, REPLICATES - 1)
    for _ in range(splits):
        halves = disjoint_halves(len(features), rng, groups)
        first, second = standardise(*(thin(features[half], count, rng) for half in halves))
        distance = kernel_distance(first, second, rng=rng)
        low, high = distance.interval
        cover["kd"] += int(low <= 0 <= high)
        values["kd"].append(distance.full)
        found = prdc(first, second, K)
        for name, target in targets.items():
            se = half_sample_se(
                lambda a, b, name=name: getattr(prdc(a, b, K), name),
                first,
                second,
                replicates=REPLICATES,
                rng=rng,
            )
            values[name].append(getattr(found, name))
            cover[name] += int(abs(values[name][-1] - target) <= quantile * se)
    table: dict[str, float] = {}
    for name, drawn in values.items():
        each = np.array(drawn)
        rest = [np.delete(each, place) for place in range(splits)]
        near = [abs(v - r.mean()) <= Z95 * r.std(ddof=1) for v, r in zip(each, rest, strict=True)]
        table |= {f"{name}_covered": cover[name], f"{name}_near_null": int(np.sum(near))}
        table |= {f"{name}_mean": float(each.mean()), f"{name}_sd": float(each.std(ddof=1))}
    return table


def blurred(images: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the images after a Gaussian blur."""
    if not sigma_px:
        return images
    return np.stack([cv2.GaussianBlur(i, (0, 0), sigma_px) for i in images[..., 0]])[..., None]


def noisy(images: np.ndarray, percent: float) -> np.ndarray:
    """Return the images with Gaussian noise, its deviation in percent of the full range."""
    noise = np.random.default_rng(0).normal(0, percent * 2.55, images.shape)
    return np.clip(np.round(images + noise), 0, 255).astype(np.uint8)


def all_scores(real: np.ndarray, synthetic: np.ndarray, seed: int) -> list[float]:
    """Return the six scores of raw radiomics, in the order of SCORES."""
    first, second = standardise(real, synthetic)
    found = prdc(first, second, K)
    distance = kernel_distance(first, second, rng=np.random.default_rng(seed)).full
    rest = [found.precision, found.recall, found.density, found.coverage]
    return [distance, frechet_distance(first, second), *rest]


def ordering(images: ImageSet, count: int, splits: int) -> dict[str, dict[str, list[float]]]:
    """Return {damage: {level: mean scores}} over random splits at `count` images a side."""
    pixels, labels = np.asarray(images.images), np.asarray(images.label_codes)
    rare = int(np.bincount(labels).argmin())
    damages: dict[str, tuple[tuple[float, ...], Callable[..., np.ndarray]]] = {
        "blur, sigma in px": ((0, 0.5, 1, 2, 4), blurred),
        "noise, sd in % of the range": ((0, 1, 2, 5, 10), noisy),
    }
    table: dict[str, dict[str, list[float]]] = {}
    features = radiomics(pixels)[0]
    for name, (levels, damage) in damages.items():
        changed = [radiomics(damage(pixels, level))[0] for level in levels]
        rows = []
        for split in range(splits):
            rng = np.random.default_rng(split)
            halves = disjoint_halves(len(pixels), rng, images.groups)
            one, other = (thin(half, count, rng) for half in halves)
            rows.append([all_scores(features[one], c[other], split) for c in changed])
        means = np.mean(rows, 0)
        table[name] = {f"{v:g}": list(row) for v, row in zip(levels, means, strict=True)}
    table["images of the common class dropped, %"] = dropped(features, labels, rare, images, splits)
    return table


def dropped(
    features: np.ndarray, labels: np.ndarray, rare: int, images: ImageSet, splits: int
) -> dict[str, list[float]]:
    """Return mean scores as the common class gives way to the rarer one, at the same N."""
    count = int((labels == rare).sum() * 0.45)
    common_share = float((labels != rare).mean())
    levels = (0, 25, 50, 75, 100)
    rows = []
    for split in range(splits):
        rng = np.random.default_rng(split)
        one, other = disjoint_halves(len(labels), rng, images.groups)
        row = []
        for percent in levels:
            keep = round(count * common_share * (1 - percent / 100))
            mixed = np.concatenate(
                [
                    thin(other[labels[other] != rare], keep, rng),
                    thin(other[labels[other] == rare], count - keep, rng),
                ]
            )
            row.append(all_scores(features[thin(one, count, rng)], features[mixed], split))
        rows.append(row)
    return {f"{v}": list(row) for v, row in zip(levels, np.mean(rows, 0), strict=True)}


def main() -> None:
    """Run both checks and print them as tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image_set", type=Path)
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--counts", type=int, nargs="*", default=[100, 300, 1000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    images = ImageSet.open(options.image_set)
    features, names = radiomics(np.asarray(images.images))
    print(f"{len(images)} images, {len(names)} features, k = {K}, {options.splits} splits")
    result: dict[str, object] = {"null": {}, "ordering": {}}
    for count in options.counts:
        for unit, groups in (("image", None), ("patient", images.groups)):
            found = covered(features, groups, count, options.splits, seed=count)
            result["null"][f"N={count} by {unit}"] = found  # type: ignore[index]
            print(f"N={count} by {unit}:", {k: round(v, 5) for k, v in found.items()}, flush=True)
    table = ordering(images, 1000, splits=5)
    result["ordering"] = table
    for damage, levels in table.items():
        print(f"\n| {damage} | {' | '.join(SCORES)} |\n|{' --- |' * 7}")
        for level, row in levels.items():
            print(f"| {level} | {' | '.join(f'{value:.4g}' for value in row)} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
