"""Where everything in a study's folder is: the one place that knows its file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from medgain.runtime.errors import ConfigError
from medgain.runtime.files import write_text
from medgain.runtime.settings import read_settings
from medgain.study.plan.plan import Plan


@dataclass(frozen=True)
class StudyFolder:
    """The folder of one study; see docs/reference/study-folder.md."""

    path: Path

    @property
    def plan_file(self) -> Path:
        """The resolved plan."""
        return self.path / "plan.yaml"

    @property
    def environment_file(self) -> Path:
        """Versions, device, threads and seeds."""
        return self.path / "environment.json"

    @property
    def dataset_file(self) -> Path:
        """What was studied: counts, leak check and parts."""
        return self.path / "dataset.json"

    @property
    def prepared(self) -> Path:
        """The data set's records after grouping, and what the leak guard decided."""
        return self.path / "prepared"

    @property
    def results_file(self) -> Path:
        """One row per cell × test set × metric."""
        return self.path / "results.parquet"

    @property
    def predictions_file(self) -> Path:
        """One row per cell × test image."""
        return self.path / "predictions.parquet"

    def prediction_table(self, name: str) -> Path:
        """What the task shows of predictions: of a classification "confusion" and "roc"."""
        return self.path / f"{name}.parquet"

    @property
    def verdict_file(self) -> Path:
        """The comparisons."""
        return self.path / "verdict.json"

    @property
    def generators(self) -> Path:
        """One folder per trained generator."""
        return self.path / "stages" / "generators"

    @property
    def stages_file(self) -> Path:
        """Keys of the generators that the plan needs; a changed plan leaves others behind."""
        return self.path / "stages" / "stages.json"

    def generator(self, key: str) -> Path:
        """The folder of the generator stage with that key."""
        return self.generators / key

    @property
    def cells(self) -> Path:
        """One folder per cell."""
        return self.path / "cells"

    def cell(self, name: str) -> Path:
        """The folder of the cell called `name`."""
        return self.cells / name

    def write_plan(self, plan: Plan) -> None:
        """Write the resolved plan."""
        text = yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_text(self.plan_file, text)

    def read_plan(self) -> Plan:
        """Read the resolved plan.

        Raises:
            ConfigError: the folder holds no study.
        """
        if not self.plan_file.is_file():
            raise ConfigError(
                f"{self.path} holds no study (it has no plan.yaml)",
                f"run one first: medgain study run PLAN --out {self.path}",
            )
        data = yaml.safe_load(self.plan_file.read_text(encoding="utf-8"))
        return read_settings(Plan, data, f"plan {self.plan_file}")
