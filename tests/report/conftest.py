"""A plausible study folder, written as docs/reference/study-folder.md says, without training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from medgain.metrics.classification.table import classification_scores
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask, scored_rows
from small_studies import told

ARMS = ("real", "oversample", "classical", "dcgan", "classical+dcgan", "aa")
EFFECT = {"real": -0.030, "oversample": -0.024, "dcgan": -0.038, "classical+dcgan": 0.024}
METRICS = (
    "auroc",
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "f1",
    "average_precision",
    "ece",
    "brier",
)
REMEDY = "lower the learning rate, or give the generator more images"
COSTS = {"dcgan": 412.0, "classical+dcgan": 412.0}
PROTOCOLS = {True: {"kind": "cross-validation", "folds": 3, "repeats": 2}}


@pytest.fixture(scope="session")
def build_study() -> Callable[..., Path]:
    """Return `write_study`, which writes a made-up study folder."""
    return write_study


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual study: six arms, two fractions, three repeats, an external set, failed cells."""
    return write_study(tmp_path_factory.mktemp("study") / "cxr")


def write_study(
    folder: Path,
    *,
    arms: tuple[str, ...] = ARMS,
    fractions: tuple[float, ...] = (0.05, 0.2),
    classes: tuple[str, ...] = ("normal", "pneumonia"),
    repeats: int = 3,
    folds: int = 1,
    external: bool = True,
    failed: str = "some",
    origin: str = "real",
    groups_known: bool = True,
    extras: bool = True,
    draw: Callable[[int], np.ndarray] | None = None,
    seed: int = 0,
) -> Path:
    """Write a study folder to `folder`; `failed` is "none", "some" or "all" of the cells."""
    rng = np.random.default_rng(seed)
    test_sets = ["test", "nih"] if external else ["test"]
    folder.mkdir(parents=True)
    dump(folder / "dataset.json", dataset(classes, origin, groups_known, fractions, external))
    dump(folder / "environment.json", environment())
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan(arms, fractions), sort_keys=False))
    cells, rows, predictions = [], [], []
    tables: dict[str, list[pd.DataFrame]] = {}
    for arm in arms:
        for fraction in fractions:
            for fold in range(folds):
                for repeat in range(repeats):
                    broken = failed == "all" or (
                        failed == "some" and "gan" in arm and repeat == 1 and fraction < 0.1
                    )
                    cell = one_cell(rng, arm, fraction, fold, repeat, broken)
                    if not broken:
                        for test_set in test_sets:
                            mine = predict(rng, cell, test_set, classes)
                            predictions.append(mine)
                            rows += class_rows(cell, mine, classes)
                            for name, table in prediction_tables(cell, mine, classes).items():
                                tables.setdefault(name, []).append(table)
                    rows += score_rows(cell, test_sets, predictions[-len(test_sets) :], rng)
                    cells.append(cell)
    results = pd.DataFrame(rows)
    results.to_parquet(folder / "results.parquet")
    if predictions:
        pd.concat(predictions).to_parquet(folder / "predictions.parquet")
    for name, parts in tables.items():
        pd.concat(parts).to_parquet(folder / f"{name}.parquet")
    for cell in cells:
        target = folder / "cells" / cell["cell"].replace("/", "_").replace("<", "_")
        target.mkdir(parents=True)
        dump(target / "cell.json", cell)
    dump(folder / "verdict.json", verdict(results, arms, fractions, test_sets, classes, origin))
    if extras:
        write_generators(folder, classes, fractions, draw or noise_images, failed)
        write_policies(folder, draw or noise_images)
    return folder


def dump(path: Path, value: Any) -> None:
    """Write JSON with NaN as null."""
    path.write_text(json.dumps(value, default=float).replace("NaN", "null"))


def one_cell(
    rng: np.random.Generator, arm: str, fraction: float, fold: int, repeat: int, broken: bool
) -> dict[str, Any]:
    """Return the content of one cell.json."""
    steps = list(range(50, 601, 50))
    decay = np.exp(-np.arange(12) / 4)
    real = round(5216 * fraction)
    history = {
        "step": steps,
        "train_loss": list(0.1 + 0.6 * decay + rng.normal(0, 0.01, 12)),
        "val_loss": list(0.25 + 0.4 * decay + rng.normal(0, 0.02, 12)),
        "val_auroc": list(0.93 - 0.3 * decay + EFFECT.get(arm, 0) + rng.normal(0, 0.006, 12)),
    }
    return {
        "cell": f"{arm}/f{fraction:g}/fold{fold}/r{repeat}",
        "arm": arm,
        "fraction": fraction,
        "fold": fold,
        "repeat": repeat,
        "status": "failed" if broken else "ok",
        "cause": "dcgan collapsed at 12 kimg: samples nearly identical" if broken else "",
        "remedy": REMEDY if broken else "",
        "threshold": None if broken else 0.47,
        "steps": 0 if broken else 600,
        "train_seconds": 3.0 if broken else 61.0 + rng.normal(),
        "generator_seconds": COSTS.get(arm, 0.0),
        "real_images": real,
        "train_images": round(real * 0.85),
        "validation_images": round(real * 0.15),
        "synthetic_images": round(real * 0.85) if "gan" in arm else 0,
        "oversampled_images": round(real * 0.85) if arm == "oversample" else 0,
        "history": {} if broken else history,
        "scores": {},
        "details": {},
    }


def predict(
    rng: np.random.Generator, cell: dict[str, Any], test_set: str, classes: tuple[str, ...]
) -> pd.DataFrame:
    """Return made-up predictions of 120 test images, better for more data and better arms."""
    count = 120
    truth = np.arange(count) % len(classes)
    skill = 1.1 + 12 * EFFECT.get(cell["arm"], 0) + 0.35 * np.log10(cell["real_images"] / 100)
    skill -= 0.5 * (test_set != "test")
    logits = rng.normal(size=(count, len(classes)))
    logits[np.arange(count), truth] += max(skill, 0.05) * 1.6
    odds = np.exp(logits)
    table = {
        f"p_{name}": (odds / odds.sum(1, keepdims=True))[:, i] for i, name in enumerate(classes)
    }
    keys = {key: cell[key] for key in ("cell", "arm", "fraction", "fold", "repeat", "threshold")}
    ids = [f"{test_set}-{i:03d}" for i in range(count)]
    return pd.DataFrame(
        {
            **keys,
            "test_set": test_set,
            "image_id": ids,
            "group": ids,
            "label": np.array(classes)[truth],
            **table,
        }
    )


def class_rows(
    cell: dict[str, Any], predictions: pd.DataFrame, classes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return the rows of results.parquet that are of one class, from the predictions."""
    keys = ("cell", "arm", "fraction", "fold", "repeat", "status", "cause", "real_images")
    scores = classification_scores(scored_rows(predictions, card_of(classes)), classes)
    return [
        {key: cell[key] for key in keys}
        | {"test_set": predictions["test_set"].iloc[0], "metric": name, "value": value}
        for name, value in scores.items()
        if "[" in name
    ]


def prediction_tables(
    cell: dict[str, Any], predictions: pd.DataFrame, classes: tuple[str, ...]
) -> dict[str, pd.DataFrame]:
    """Return the rows of confusion.parquet and roc.parquet of one cell and test set."""
    task = ClassificationTask(ClassificationConfig())
    keys = {key: cell[key] for key in ("cell", "arm", "fraction", "fold", "repeat")}
    keys["test_set"] = predictions["test_set"].iloc[0]
    tables = task.prediction_tables(predictions, card_of(classes))
    return {name: table.assign(**keys) for name, table in tables.items()}


def card_of(classes: tuple[str, ...]) -> dict[str, Any]:
    """Return what a task reads of an image set's card."""
    return {"classes": list(classes), "positive": classes[-1] if len(classes) == 2 else None}


def score_rows(
    cell: dict[str, Any],
    test_sets: list[str],
    predictions: list[pd.DataFrame],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Return the rows of results.parquet for one cell."""
    rows = []
    keys = ("cell", "arm", "fraction", "fold", "repeat", "status", "cause", "real_images")
    more = ("train_images", "validation_images", "synthetic_images", "steps", "threshold")
    cost = ("train_seconds", "generator_seconds")
    for index, test_set in enumerate(test_sets):
        for metric in METRICS:
            base = 0.13 if metric in ("ece", "brier") else 0.9
            value = base + EFFECT.get(cell["arm"], 0) * (-1 if base < 0.5 else 1)
            value += 0.02 * np.log10(cell["real_images"] / 260) - 0.06 * index
            value += rng.normal(0, 0.005)
            rows.append(
                {key: cell[key] for key in keys + more + cost}
                | {"test_set": test_set, "metric": metric}
                | {"value": float("nan") if cell["status"] == "failed" else value}
            )
    return rows


def verdict(
    results: pd.DataFrame,
    arms: tuple[str, ...],
    fractions: tuple[float, ...],
    test_sets: list[str],
    classes: tuple[str, ...],
    origin: str,
) -> dict[str, Any]:
    """Return verdict.json for the made-up results."""
    comparisons = [
        compare(results, arm, fraction, test_set, metric)
        for test_set in test_sets
        for metric in METRICS
        for fraction in fractions
        for arm in arms
        if arm != "classical"
    ]
    return {
        "study": "pneumonia-dcgan",
        "dataset": "paediatric chest X-rays",
        "origin": origin,
        "task": "classification",
        "classes": list(classes),
        "positive": classes[-1] if len(classes) == 2 else None,
        "metric": "auroc",
        "higher_is_better": True,
        "reference": "classical",
        "protocol": {"kind": "official", "seeds": 3},
        "margin": 0.01,
        "level": 0.95,
        "test_sets": test_sets,
        "comparisons": comparisons,
        "detectable_gain": 0.021,
        "failed_cells": int((results.groupby("cell")["status"].first() == "failed").sum()),
        "notes": ["the test set holds 624 images of 624 groups"],
    }


def compare(
    results: pd.DataFrame, arm: str, fraction: float, test_set: str, metric: str
) -> dict[str, Any]:
    """Return one comparison with `classical`; wide when cells failed, empty when all did."""
    table = results.query("metric == @metric and test_set == @test_set and fraction == @fraction")
    table = table[table["arm"].isin([arm, "classical"])]
    wide = table.pivot_table(index=["fold", "repeat"], columns="arm", values="value", dropna=False)
    wide = wide.dropna() if arm in wide and "classical" in wide else wide.iloc[:0]
    sign = -1 if metric in ("ece", "brier") else 1
    gains = sign * (wide[arm] - wide["classical"]) if len(wide) else pd.Series(dtype=float)
    gain = float(gains.mean()) if len(gains) else None
    half = 0.045 if len(gains) == 2 else 0.016
    row: dict[str, Any] = {
        "arm": arm,
        "reference": "classical",
        "test_set": test_set,
        "fraction": fraction,
        "metric": metric,
        "primary": metric == "auroc",
        "mean": float(wide[arm].mean()) if len(wide) else None,
        "reference_mean": float(wide["classical"].mean()) if len(wide) else None,
        "gain": gain,
        "ci_low": gain - half if gain is not None else None,
        "ci_high": gain + half if gain is not None else None,
        "p_value": 0.0123 if gain is not None else None,
        "p_holm": 0.0492 if gain is not None else None,
        "repeats": len(gains),
        "failed_cells": int(table.query("arm == @arm")["status"].eq("failed").sum()),
        "worth_real_images": None,
        "cost": {"train_seconds": 61.0, "generator_seconds": COSTS.get(arm, 0.0)},
        "detectable_gain": 0.021 if gain is not None else None,
        "repeats_for_margin": 14 if gain is not None else None,
        "control": "aa" if arm == "aa" else None,
    }
    row["verdict"] = "no evidence"
    if gain is not None and (row["ci_low"] > 0 or row["ci_high"] < 0):
        row["verdict"] = "helps" if gain > 0 else "hurts"
    if row["primary"] and gain is not None:
        worth = gain * 9000
        bounds = {"low": worth - 90, "high": worth + 120}
        row["worth_real_images"] = {
            "estimate": worth,
            **bounds,
            "beyond": None,
            "text": f"worth {worth:.0f}",
        }
    return row | {"sentence": told(row)}


def dataset(
    classes: tuple[str, ...],
    origin: str,
    groups_known: bool,
    fractions: tuple[float, ...],
    external: bool,
) -> dict[str, Any]:
    """Return dataset.json."""
    card = {
        "name": "paediatric chest X-rays",
        "modality": "X-ray",
        "classes": list(classes),
        "origin": origin,
        "licence": "CC-BY-4.0",
        "groups_known": groups_known,
        "group_rule": "split and person number of the file name",
        "notes": ["person numbers restart in each split"],
        "history": [{"step": "import", "layout": "kaggle-chest-xray", "size_px": 64}],
    }
    other = {"name": "nih", "path": "sets/nih", "fingerprint": "0f" * 16, "images": 1200}
    return {
        "path": "sets/cxr",
        "fingerprint": "9c1e" * 16,
        "card": card,
        "images": 5840,
        "size_px": [64, 64],
        "channels": 1,
        "counts": [
            {"split": split, "label": label, "images": n, "groups": n // 2}
            for split, n in (("train", 2608), ("test", 312))
            for label in classes
        ],
        "leak_check": {
            "exact_groups": 30,
            "near_groups": 4,
            "leaks": [],
            "on_leak": "error",
            "dropped": ["IM-0001", "IM-0002"],
            "statement": "no group and no (near-)identical image stands in two parts",
        },
        "parts": [
            {
                "fraction": fraction,
                "fold": 0,
                "repeat": repeat,
                "train_images": round(4434 * fraction),
                "train_groups": round(2200 * fraction),
                "validation_images": round(782 * fraction),
                "validation_groups": round(390 * fraction),
                "test_images": 624,
                "test_groups": 624,
                "train_per_class": {label: round(2200 * fraction) for label in classes},
            }
            for fraction in fractions
            for repeat in range(3)
        ],
        "external": [{**other, "card": card}] if external else [],
    }


def environment() -> dict[str, Any]:
    """Return environment.json."""
    return {
        "medgain": "0.1.0",
        "python": "3.11.9",
        "torch": "2.11.0",
        "platform": "Linux",
        "cpu": "some processor",
        "cpu_count": 2,
        "device": "cpu",
        "precision": "bf16",
        "threads": 1,
        "seed": 0,
        "started": "2026-05-04T10:20:30+00:00",
        "workers": 2,
        "seconds": 4210.5,
    }


def plan(arms: tuple[str, ...], fractions: tuple[float, ...]) -> dict[str, Any]:
    """Return a resolved plan."""
    return {
        "name": "pneumonia-dcgan",
        "dataset": "sets/cxr",
        "task": {"kind": "classification", "model": "cnn", "steps": 600},
        "fractions": list(fractions),
        "metric": "auroc",
        "reference": "classical",
        "arms": {arm: {} for arm in arms},
    }


def noise_images(count: int) -> np.ndarray:
    """Return grey images (count, 32, 32, 1) of blurred noise."""
    rng = np.random.default_rng(count)
    coarse = rng.integers(40, 220, (count, 8, 8, 1), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def write_generators(
    folder: Path,
    classes: tuple[str, ...],
    fractions: tuple[float, ...],
    draw: Callable[[int], np.ndarray],
    failed: str,
) -> None:
    """Write one generator stage per class and fraction, the first one failed."""
    for fraction in fractions:
        for number, label in enumerate(classes):
            for repeat in range(2):
                broken = failed == "all" or (failed == "some" and repeat + number == 0)
                stage = folder / "stages" / "generators" / f"{label}-{fraction:g}-{repeat}"
                stage.mkdir(parents=True)
                dump(
                    stage / "stage.json",
                    {
                        "key": stage.name,
                        "generator": "dcgan",
                        "model": "dcgan",
                        "label": label,
                        "fraction": fraction,
                        "fold": 0,
                        "repeat": repeat,
                        "status": "failed" if broken else "ok",
                        "cause": "the generator's loss became NaN" if broken else "",
                        "remedy": REMEDY if broken else "",
                        "seconds": 206.4,
                        "images_seen": 100_000,
                        "steps": 1563,
                        "peak_memory_mb": 812.0,
                        "train_images": 110,
                        "history": {
                            "kimg": [5.0 * i for i in range(1, 21)],
                            "d_loss": [1.3 - 0.03 * i for i in range(20)],
                            "g_loss": [0.8 + 0.05 * i for i in range(20)],
                        },
                        "config": {"latent": 100},
                        "budget": {"kimg": 100},
                    },
                )
                if not broken:
                    images = draw(32)
                    np.savez(stage / "sheet.npz", real=images[:16], synthetic=images[16:])


def write_policies(folder: Path, draw: Callable[[int], np.ndarray]) -> None:
    """Write before/after examples of one policy."""
    before = draw(6)
    arms = ["classical", "classical+dcgan", "aa"]
    describe = [f"rotation {3 * i - 7}°, shear 0.1, shift 3 px right" for i in range(6)]
    examples = [{"policy": "pneumonia-e1", "arms": arms, "describe": describe}]
    dump(folder / "policies.json", {"format": 1, "policies": examples})
    np.savez(folder / "policies.npz", **{"0_before": before, "0_after": before[:, ::-1].copy()})
