"""The fidelity scores on real chest X-rays: no difference where there is none, order elsewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from medgain.metrics.radiomics.features import radiomics


@pytest.fixture(scope="module")
def checks() -> ModuleType:
    """The benchmark whose figures stand in docs/explanation/fidelity.md."""
    place = Path(__file__).parents[2] / "benchmarks" / "fidelity_checks.py"
    spec = importlib.util.spec_from_file_location("fidelity_checks", place)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(folder: Path, per_class: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images (N, 64, 64, 1), labels and patients of the training part."""
    images, labels, patients = [], [], []
    for code, name in enumerate(("normal", "pneumonia")):
        paths = sorted((folder / "chestxray" / "train" / name).glob("*.jpg"))
        for path in paths[:: max(1, len(paths) // per_class)][:per_class]:
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            images.append(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA))
            labels.append(code)
            number = re.search(r"person(\d+)|IM-(\d+)", path.stem)
            patients.append(f"{name}{number.group()}" if number else path.stem)
    return np.stack(images)[..., None], np.array(labels), np.array(patients)


def test_damage_worsens_the_scores_step_by_step(checks: ModuleType, medgain_data: Path) -> None:
    images, _, patients = load(medgain_data, 200)
    rng = np.random.default_rng(0)
    one, other = checks.disjoint_halves(len(images), rng, patients)
    real = radiomics(images[one])[0]
    for damage, levels in ((checks.blurred, (0, 0.5, 1, 2)), (checks.noisy, (0, 1, 2, 5))):
        rows = [checks.all_scores(real, radiomics(damage(images[other], v))[0], 0) for v in levels]
        kd, frechet, precision, recall, density, coverage = np.transpose(rows)
        for worse in (kd, frechet, -recall, -coverage, -density, -precision):
            assert (np.diff(worse) >= 0).all(), damage.__name__
        assert kd[1] > 10 * abs(kd[0]) and coverage[1] < coverage[0] - 0.3


def test_a_dropped_class_is_seen_by_distance_and_coverage(
    checks: ModuleType, medgain_data: Path
) -> None:
    images, labels, patients = load(medgain_data, 400)
    features = radiomics(images)[0]
    one, other = checks.disjoint_halves(len(images), np.random.default_rng(1), patients)
    sides = [[half[labels[half] == code][:160] for code in (0, 1)] for half in (one, other)]
    real = features[np.concatenate([part[:80] for part in sides[0]])]
    rows = []
    for dropped in (0, 40, 80):
        mixed = np.concatenate([sides[1][0][: 80 + dropped], sides[1][1][: 80 - dropped]])
        rows.append(checks.all_scores(real, features[mixed], 0))
    kd, frechet, _, recall, _, coverage = np.transpose(rows)
    assert (np.diff(kd) > 0).all() and (np.diff(frechet) > 0).all()
    assert recall[2] < recall[0] - 0.1 and coverage[2] < coverage[0] - 0.2


@pytest.mark.slow
@pytest.mark.parametrize("grouped", [False, True])
def test_real_against_real_is_no_difference_in_93_of_100_splits(
    checks: ModuleType, medgain_data: Path, grouped: bool
) -> None:
    images, _, patients = load(medgain_data, 1341)
    features = radiomics(images)[0]
    found = checks.covered(features, patients if grouped else None, 300, 100, seed=300)
    assert found["kd_covered"] >= 93
    assert found["density_near_null"] >= 93 and found["coverage_near_null"] >= 93
    assert found["density_mean"] == pytest.approx(1, abs=0.03)
    assert found["coverage_mean"] == pytest.approx(checks.expected_coverage(300), abs=0.01)
