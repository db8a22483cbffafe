"""Reads a study folder as docs/reference/study-folder.md describes it; absent parts are empty."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.files import read_json
from medgain.study.folder import StudyFolder

RESULT_COLUMNS = ("cell", "arm", "fraction", "fold", "repeat", "test_set", "metric", "value")
PREDICTION_COLUMNS = ("cell", "arm", "fraction", "fold", "repeat", "test_set")
CONFUSION_COLUMNS = (*PREDICTION_COLUMNS, "true", "predicted", "images")
ROC_COLUMNS = (*PREDICTION_COLUMNS, "class", "false_positive_rate", "true_positive_rate")
_OF_TASK = {"classification": ("label",), "segmentation": ("image_id", "group")}


@dataclass(frozen=True)
class StudyFiles:
    """Everything that a study left in its folder."""

    folder: Path
    verdict: dict[str, Any]
    plan: dict[str, Any]
    plan_text: str
    environment: dict[str, Any]
    dataset: dict[str, Any]
    results: pd.DataFrame
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    roc: pd.DataFrame
    cells: list[dict[str, Any]]
    generators: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    panels: dict[str, Any]

    @property
    def reference(self) -> str:
        """Return the name of the arm that others are compared with."""
        return str(self.verdict.get("reference") or "")

    @property
    def metric(self) -> str:
        """Return the primary metric's name."""
        return str(self.verdict.get("metric") or "")

    @property
    def card(self) -> dict[str, Any]:
        """Return the card of the data set."""
        return self.dataset.get("card") or {}

    @property
    def comparisons(self) -> list[dict[str, Any]]:
        """Return the verdict's comparisons."""
        return self.verdict.get("comparisons") or []

    @property
    def arms(self) -> list[str]:
        """Return the arms in the plan's order, then any that only the results know."""
        known = self.plan.get("arms") or {}
        planned = list(known) if isinstance(known, (dict, list)) else []
        seen = [str(arm) for arm in planned]
        seen += [cell["arm"] for cell in self.cells if "arm" in cell]
        seen += [row["arm"] for row in self.comparisons] + [self.reference]
        return [arm for arm in dict.fromkeys(seen) if arm]

    @property
    def controls(self) -> set[str]:
        """Return the arms that are the reference again (A/A)."""
        return {row["arm"] for row in self.comparisons if row.get("control") == "aa"}

    @property
    def test_sets(self) -> list[str]:
        """Return the test sets, the study's own first."""
        names = list(self.verdict.get("test_sets") or [])
        names += [row["test_set"] for row in self.comparisons]
        return sorted(dict.fromkeys(names), key=lambda name: name != "test")

    @property
    def fractions(self) -> list[float]:
        """Return the fractions of the training data, smallest first."""
        found = {float(cell["fraction"]) for cell in self.cells if "fraction" in cell}
        return sorted(found | {float(row["fraction"]) for row in self.comparisons})

    def cells_of(self, arm: str, fraction: float) -> list[dict[str, Any]]:
        """Return the cells of one arm at one fraction, failed ones too."""
        return [
            cell
            for cell in self.cells
            if cell.get("arm") == arm and float(cell.get("fraction", -1)) == fraction
        ]

    @property
    def origins(self) -> set[str]:
        """Return the origins of the data set and of every external set."""
        cards = [self.card, *(item.get("card") or {} for item in self.dataset.get("external", []))]
        found = {str(card.get("origin") or "") for card in cards}
        return {*found, str(self.verdict.get("origin") or "")} - {""}


def read_study(folder: Path) -> StudyFiles:
    """Read the study in `folder`; only verdict.json must be there.

    Raises:
        MedgainError: the folder is no finished study.
        DataError: one of its files is damaged.
    """
    if not (folder / "verdict.json").is_file():
        raise MedgainError(
            f"{folder} holds no finished study (it has no verdict.json)",
            "run it to the end: medgain study run PLAN --out FOLDER --resume",
        )
    study = StudyFolder(folder)
    verdict = _json(folder / "verdict.json")
    if not isinstance(verdict, dict):
        raise DataError(f"{folder / 'verdict.json'} holds no verdict", "make it again")
    columns = (*PREDICTION_COLUMNS, *_OF_TASK.get(str(verdict.get("task")), ()))
    plan_path = folder / "plan.yaml"
    plan_text = plan_path.read_text(encoding="utf-8") if plan_path.is_file() else ""
    return StudyFiles(
        folder=folder,
        verdict=verdict,
        plan=_plan(plan_path, plan_text),
        plan_text=plan_text,
        environment=_json(folder / "environment.json") or {},
        dataset=_json(folder / "dataset.json") or {},
        results=_table(folder / "results.parquet", RESULT_COLUMNS),
        predictions=_table(folder / "predictions.parquet", columns),
        confusion=_table(study.prediction_table("confusion"), CONFUSION_COLUMNS),
        roc=_table(study.prediction_table("roc"), ROC_COLUMNS),
        cells=_many(folder, "cells/*/cell.json"),
        generators=_generators(folder),
        policies=(_json(folder / "policies.json") or {}).get("policies", []),
        panels=_panels(folder / "panels.json"),
    )


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _panels(path: Path) -> dict[str, Any]:
    found = _json(path)
    if found is None:
        return {}
    if not isinstance(found, dict) or not isinstance(found.get("cases", []), list):
        raise DataError(f"{path} lists no cases", "run the study again with --resume")
    return found


def _many(folder: Path, pattern: str) -> list[dict[str, Any]]:
    """Return the JSON files that match, each with the folder that it lies in."""
    return [{**read_json(path), "_folder": path.parent} for path in sorted(folder.glob(pattern))]


def _generators(folder: Path) -> list[dict[str, Any]]:
    """Return the generators of the study's plan, without those that an older plan left."""
    found = _many(folder, "stages/generators/*/stage.json")
    current = _json(folder / "stages" / "stages.json")
    if not isinstance(current, dict):
        return found
    return [one for one in found if one["_folder"].name in current.get("generators", [])]


def _plan(path: Path, text: str) -> dict[str, Any]:
    try:
        plan = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not valid YAML ({error})", "restore it") from None
    return plan if isinstance(plan, dict) else {}


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable table ({error})", "run --resume") from None
    if not len(table.columns):  # every cell failed
        return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})
    missing = [name for name in columns if name not in table]
    if missing:
        raise DataError(f"{path} lacks the columns {missing}", "run the study again")
    return table
