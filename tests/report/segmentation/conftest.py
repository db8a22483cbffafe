"""A plausible segmentation study: real-looking slices and masks, predictions that go wrong as
models do (blurred edges, shifted outlines, missed tumours), scored by the metrics themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import ndimage

from medgain.metrics.segmentation.table import segmentation_table, summarise_segmentation
from small_studies import told

METRICS = ("dice", "iou", "hd95", "boundary_f", "pixel_accuracy")


@dataclass(frozen=True)
class Skill:
    """How an arm errs: blur and warp of the outlines in pixels, share of missed small regions."""

    blur_px: float
    warp_px: float
    missed: float = 0.0
    model: str = "unet"


SKILLS = {
    "real": Skill(0.8, 1.6, 0.35),
    "classical": Skill(0.6, 1.0, 0.15),
    "classical+pix2pix": Skill(0.6, 0.8, 0.1),
    "fpn": Skill(2.2, 1.0, 0.15, "fpn"),
    "aa": Skill(0.6, 1.02, 0.15),
}


@dataclass(frozen=True)
class Pairs:
    """Slices (N, H, W, C) uint8 with masks (N, H, W), their groups and ids."""

    images: np.ndarray
    masks: np.ndarray
    groups: list[str]
    ids: list[str]
    classes: tuple[str, ...]


@pytest.fixture(scope="session")
def build_segmentation_study() -> Callable[..., Path]:
    """Return `write_segmentation_study`, which writes a made-up study folder."""
    return write_segmentation_study


@pytest.fixture(scope="session")
def draw_abdomens() -> Callable[..., Pairs]:
    """Return `abdomens`, which draws slices with kidneys and tumours."""
    return abdomens


@pytest.fixture(scope="session")
def segmentation_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The usual study: five arms, two models, three folds, one failed cell."""
    return write_segmentation_study(tmp_path_factory.mktemp("study") / "kidney")


def abdomens(count: int = 18, size: int = 48, seed: int = 0) -> Pairs:
    """Draw slices of an abdomen: an oval body, two kidneys, a tumour in most; groups of two."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    images, masks = [], []
    for position in range(count):
        mask = np.zeros((size, size), np.uint8)
        body = _oval(rows, columns, 0.5, 0.5, 0.4, 0.46)
        for side in (0.3, 0.7):
            y, x = 0.55 + rng.normal(0, 0.02), side + rng.normal(0, 0.02)
            mask[_oval(rows, columns, y, x, 0.13, 0.09)] = 1
            if rng.random() < 0.5 and position % 3:
                reach = rng.uniform(0.03, 0.08)
                mask[_oval(rows, columns, y - 0.1, x + 0.02, reach, reach)] = 2
        values = 60.0 * body + 70.0 * (mask == 1) + 40.0 * (mask == 2)
        values = ndimage.gaussian_filter(values, 0.6) + rng.normal(0, 7, (size, size))
        images.append(np.clip(values, 0, 255).astype(np.uint8)[..., None])
        masks.append(mask)
    groups = [f"case_{position // 2:03d}" for position in range(count)]
    ids = [f"{group}_{position % 2}" for position, group in enumerate(groups)]
    return Pairs(np.stack(images), np.stack(masks), groups, ids, ("kidney", "tumour"))


def _oval(
    rows: np.ndarray, columns: np.ndarray, y: float, x: float, height: float, width: float
) -> np.ndarray:
    return ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1


def guess(mask: np.ndarray, classes: int, skill: Skill, seed: int) -> np.ndarray:
    """Return what a model of that skill might predict for a mask (H, W)."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(2, *mask.shape)), (0, 4, 4))
    field *= skill.warp_px / max(float(field.std()), 1e-9)
    grid = np.mgrid[: mask.shape[0], : mask.shape[1]] + field
    layers = []
    for code in range(classes + 1):
        layer = (mask == code).astype(float)
        if code == classes > 1 and rng.random() < skill.missed:
            layer *= 0.0  # the last class is the hard one: now and then it is not seen at all
        layer = ndimage.gaussian_filter(layer, skill.blur_px)
        layers.append(ndimage.map_coordinates(layer, grid, order=1, mode="nearest"))
    return np.argmax(layers, axis=0).astype(np.uint8)


def write_segmentation_study(
    folder: Path,
    *,
    pairs: Pairs | None = None,
    skills: dict[str, Skill] | None = None,
    fractions: Sequence[float] = (1.0,),
    folds: int = 3,
    repeats: int = 1,
    metric: str = "dice",
    reference: str = "classical",
    failed: Sequence[str] = ("real",),
    groups_known: bool = True,
    generators: bool = True,
    panels: bool = True,
    name: str = "kidney-pix2pix",
) -> Path:
    """Write a study folder; of the arms `failed`, the first fold's cell is a failure."""
    pairs = pairs or abdomens()
    skills = skills or SKILLS
    folder.mkdir(parents=True)
    cells, rows, kept, guesses = [], [], [], {}
    for arm, skill in skills.items():
        for fraction in fractions:
            for fold in range(folds):
                for repeat in range(repeats):
                    cell = _cell(pairs, arm, fraction, fold, repeat)
                    mine = _fold_rows(pairs, fold, folds)
                    broken = arm in failed and fold == 0
                    scores: dict[str, Any] = {}
                    if broken:
                        cell |= {"status": "failed", "cause": "the loss became NaN", "history": {}}
                    else:
                        found = _predict(pairs, mine, skill, arm, fraction, fold * 100 + repeat)
                        guesses |= {(arm, fraction, k): m for k, m in zip(mine, found, strict=True)}
                        frame = segmentation_table(pairs.masks[mine], found, pairs.classes)
                        ids = [pairs.ids[k] for k in mine]
                        owners = [pairs.groups[k] for k in mine]
                        scores = dict(summarise_segmentation(frame, owners))
                        keys = ("cell", "arm", "fraction", "fold", "repeat")
                        head = {key: cell[key] for key in keys} | {"test_set": "test"}
                        kept.append(frame.assign(**head, image_id=ids, group=owners))
                    cells.append(cell)
                    rows += _results(cell, scores, pairs.classes)
    results = pd.DataFrame(rows)
    results.to_parquet(folder / "results.parquet")
    predictions = pd.concat(kept)
    predictions.to_parquet(folder / "predictions.parquet")
    for cell in cells:
        target = folder / "cells" / cell["cell"].replace("/", "_")
        target.mkdir(parents=True)
        _dump(target / "cell.json", cell)
    _dump(
        folder / "verdict.json",
        _verdict(results, pairs.classes, list(skills), fractions, reference, metric, name),
    )
    _dump(folder / "dataset.json", _dataset(pairs, fractions, groups_known, name))
    _dump(folder / "environment.json", {"medgain": "0.1.0", "seed": 0, "seconds": 912.0})
    arms = {
        arm: {"task": {"model": s.model}} if s.model != "unet" else {} for arm, s in skills.items()
    }
    if "aa" in arms:
        arms["aa"] = {"same_as": reference}
    task = {"kind": "segmentation", "model": "unet", "width": "small"}
    plan = {"name": name, "task": task, "metric": metric, "reference": reference, "arms": arms}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    if panels:
        write_panels(folder, pairs, predictions, guesses, list(skills), fractions, reference)
    if generators:
        write_pairs(folder, pairs)
    return folder


def _fold_rows(pairs: Pairs, fold: int, folds: int) -> list[int]:
    order = sorted(set(pairs.groups))
    return [k for k, group in enumerate(pairs.groups) if order.index(group) % folds == fold]


def _predict(
    pairs: Pairs, rows: list[int], skill: Skill, arm: str, fraction: float, salt: int
) -> np.ndarray:
    less = Skill(skill.blur_px, skill.warp_px / fraction**0.3, skill.missed)
    seeds = [salt + 1000 * k + sum(map(ord, arm)) for k in rows]
    classes = len(pairs.classes)
    return np.stack(
        [guess(pairs.masks[k], classes, less, seed) for k, seed in zip(rows, seeds, strict=True)]
    )


def _cell(pairs: Pairs, arm: str, fraction: float, fold: int, repeat: int) -> dict[str, Any]:
    decay = np.exp(-np.arange(10) / 3)
    images = round(0.8 * len(pairs.ids) * fraction)
    return {
        "cell": f"{arm}/f{fraction:g}/fold{fold}/r{repeat}",
        "arm": arm,
        "fraction": fraction,
        "fold": fold,
        "repeat": repeat,
        "status": "ok",
        "cause": "",
        "remedy": "lower the learning rate",
        "threshold": None,
        "steps": 400,
        "train_seconds": 41.0,
        "generator_seconds": 310.0 if "pix2pix" in arm else 0.0,
        "real_images": images,
        "train_images": round(0.8 * images),
        "validation_images": images - round(0.8 * images),
        "synthetic_images": images if "pix2pix" in arm else 0,
        "oversampled_images": 0,
        "history": {
            "step": list(range(40, 401, 40)),
            "train_loss": list(0.2 + decay),
            "val_dice": list(0.85 - 0.5 * decay),
        },
    }


def _results(
    cell: dict[str, Any], scores: dict[str, Any], classes: Sequence[str]
) -> list[dict[str, Any]]:
    names = [*METRICS, *(f"{m}[{c}]" for m in METRICS[:-1] for c in classes)]
    keys = ("cell", "arm", "fraction", "fold", "repeat", "status", "cause", "real_images")
    base = {key: cell[key] for key in keys} | {"test_set": "test"}
    return [base | {"metric": name, "value": scores.get(name, np.nan)} for name in names]


def _verdict(
    results: pd.DataFrame,
    classes: Sequence[str],
    arms: list[str],
    fractions: Sequence[float],
    reference: str,
    metric: str,
    name: str,
) -> dict[str, Any]:
    comparisons = [
        _compare(results, arm, reference, fraction, one, metric)
        for one in results["metric"].unique()
        for fraction in fractions
        for arm in arms
        if arm != reference
    ]
    return {
        "study": name,
        "dataset": name.partition("-")[0],
        "origin": "real",
        "task": "segmentation",
        "classes": [],
        "positive": None,
        "mask_classes": list(classes),
        "metric": metric,
        "higher_is_better": not metric.startswith("hd95"),
        "reference": reference,
        "protocol": {"kind": "cross-validation", "folds": 3, "repeats": 1},
        "margin": 0.01,
        "level": 0.95,
        "test_sets": ["test"],
        "comparisons": comparisons,
        "detectable_gain": 0.018,
        "failed_cells": int((results.groupby("cell")["status"].first() == "failed").sum()),
        "notes": [],
    }


def _compare(
    results: pd.DataFrame, arm: str, reference: str, fraction: float, metric: str, primary: str
) -> dict[str, Any]:
    table = results[(results["metric"] == metric) & (results["fraction"] == fraction)]
    wide = table[table["arm"].isin([arm, reference])].pivot_table(
        index=["fold", "repeat"], columns="arm", values="value"
    )
    wide = wide.dropna()
    sign = -1 if metric.startswith("hd95") else 1
    gains = sign * (wide[arm] - wide[reference])
    gain = float(gains.mean())
    half = 2.5 * float(gains.std(ddof=1)) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    found = half < abs(gain) and arm != "aa"
    verdict = ("helps" if gain > 0 else "hurts") if found else "no evidence"
    row = {
        "arm": arm,
        "reference": reference,
        "test_set": "test",
        "fraction": fraction,
        "metric": metric,
        "primary": metric == primary,
        "control": "aa" if arm == "aa" else None,
        "mean": float(wide[arm].mean()),
        "reference_mean": float(wide[reference].mean()),
        "gain": gain,
        "ci_low": gain - half,
        "ci_high": gain + half,
        "p_value": 0.004 if found else 0.4,
        "p_holm": 0.016 if found else 0.8,
        "repeats": len(gains),
        "failed_cells": 0,
        "verdict": verdict,
        "worth_real_images": None,
        "detectable_gain": 0.018,
        "repeats_for_margin": {"repeats": 9, "text": "9 paired trainings"},
    }
    return row | {"sentence": told(row)}


def _dataset(
    pairs: Pairs, fractions: Sequence[float], groups_known: bool, name: str
) -> dict[str, Any]:
    count, groups = len(pairs.ids), len(set(pairs.groups))
    return {
        "path": f"sets/{name.partition('-')[0]}",
        "fingerprint": "9c1e" * 16,
        "images": count,
        "size_px": list(pairs.images.shape[1:3]),
        "channels": int(pairs.images.shape[-1]),
        "counts": [{"split": "", "label": "", "images": count, "groups": groups}],
        "leak_check": {"leaks": [], "statement": "no group stands in two parts"},
        "parts": [
            {
                "fraction": fraction,
                **{f"{part}_images": count // 3 for part in ("train", "validation", "test")},
                **{f"{part}_groups": groups // 3 for part in ("train", "validation", "test")},
                "train_per_class": {"": count // 3},
            }
            for fraction in fractions
        ],
        "card": {
            "name": name.partition("-")[0],
            "modality": "CT",
            "classes": [],
            "mask_classes": list(pairs.classes),
            "origin": "real",
            "groups_known": groups_known,
            "group_rule": "case" if groups_known else "one group per image: patient ids unknown",
        },
        "external": [],
    }


def write_panels(
    folder: Path,
    pairs: Pairs,
    predictions: pd.DataFrame,
    guesses: dict[tuple[str, float, int], np.ndarray],
    arms: list[str],
    fractions: Sequence[float],
    reference: str,
) -> None:
    """Write panels.json and panels.npz: best, median and worst image under the reference."""
    columns = [f"dice[{name}]" for name in pairs.classes]
    cases: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for fraction in fractions:
        chosen = predictions[predictions["fraction"] == fraction]
        chosen = chosen.drop_duplicates(["arm", "image_id"])
        mine = chosen[chosen["arm"] == reference].set_index("image_id")
        order = mine[columns].mean(axis=1).dropna().sort_values(kind="stable").index
        for role, name in zip(
            ("worst", "median", "best"), (order[0], order[len(order) // 2], order[-1]), strict=True
        ):
            key, position = str(len(cases)), pairs.ids.index(name)
            arrays[f"{key}_image"] = pairs.images[position]
            arrays[f"{key}_truth"] = pairs.masks[position]
            scored = chosen[chosen["image_id"] == name].set_index("arm")
            known = {}
            for j, arm in enumerate(arms):
                if arm in scored.index:
                    arrays[f"{key}_{j}"] = guesses[arm, fraction, position]
                    row = scored.loc[arm]
                    dice = {c: row[f"dice[{c}]"] for c in pairs.classes}
                    known[arm] = {"cell": row["cell"], "dice": dice}
            cases.append(
                {
                    "key": key,
                    "image_id": name,
                    "group": pairs.groups[position],
                    "dice": float(scored[columns].mean(axis=None)),
                    "role": role,
                    "fraction": fraction,
                    "arms": known,
                }
            )
    listed = {"mask_classes": list(pairs.classes), "arms": arms, "cases": cases}
    _dump(folder / "panels.json", listed)
    np.savez_compressed(folder / "panels.npz", **arrays)


def write_pairs(folder: Path, pairs: Pairs) -> None:
    """Write one pix2pix stage whose sheet holds masks beside the images."""
    stage = folder / "stages" / "generators" / "pix2pix"
    stage.mkdir(parents=True)
    _dump(
        stage / "stage.json",
        {
            "generator": "pix2pix",
            "model": "pix2pix",
            "label": "",
            "fraction": 1.0,
            "fold": 0,
            "repeat": 0,
            "status": "ok",
            "seconds": 310.0,
            "images_seen": 9000,
            "steps": 9000,
            "train_images": 50,
            "history": {"kimg": [1, 2, 3], "d_loss": [0.7, 0.6, 0.6], "g_l1_loss": [0.3, 0.2, 0.1]},
        },
    )
    side = {"synthetic": {"value": 0.71}, "real": {"value": 0.84}, "shuffled": 0.2}
    scores = {f"dice[{name}]": side for name in pairs.classes}
    found = {"mask_classes": list(pairs.classes), "scores": scores}
    _dump(stage / "assessment.json", {"consistency": found})
    count = min(16, len(pairs.ids))
    soft = ndimage.gaussian_filter(pairs.images[:count].astype(float), (0, 1, 1, 0))
    np.savez_compressed(
        stage / "sheet.npz",
        real=pairs.images[:count],
        synthetic=soft.astype(np.uint8)[:, :, ::-1],
        real_masks=pairs.masks[:count],
        synthetic_masks=pairs.masks[:count, :, ::-1],
    )


def _dump(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, default=float).replace("NaN", "null"))
