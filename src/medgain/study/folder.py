"""Where everything in a study's folder is: the one place that knows its file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml

from medgain.runtime.errors import ConfigError
from medgain.runtime.files import read_json, write_text
from medgain.runtime.records import Record, parse_record, read_record
from medgain.runtime.settings import read_settings
from medgain.study.plan.plan import Plan
from medgain.study.records.assessment import (
    AssessmentRecord,
    FailedAssessment,
    FinishedAssessment,
)
from medgain.study.records.cell import CellRecord, FailedCell, FinishedCell
from medgain.study.records.dataset import DatasetRecord, PreparedRecord
from medgain.study.records.environment import EnvironmentRecord
from medgain.study.records.generator import FailedGenerator, FinishedGenerator, GeneratorRecord
from medgain.study.records.pictures import Panels, PolicyExamples
from medgain.study.records.stage import PlannedStages
from medgain.study.records.verdict import Verdict

REMEDY = "run the study with this version of medgain, in another folder"

Finished = TypeVar("Finished", bound=Record)
Failed = TypeVar("Failed", bound=Record)


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
    def prepared_file(self) -> Path:
        """Where the images are, and what stages must know beside them."""
        return self.prepared / "prepared.json"

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

    def generator_file(self, key: str) -> Path:
        """The record of the generator stage with that key."""
        return self.generator(key) / "stage.json"

    def sheet_file(self, key: str) -> Path:
        """Real training images and samples of that generator, side by side."""
        return self.generator(key) / "sheet.npz"

    def assessment_file(self, key: str) -> Path:
        """How good and how private the generator with that key is."""
        return self.generator(key) / "assessment.json"

    @property
    def cells(self) -> Path:
        """One folder per cell."""
        return self.path / "cells"

    def cell(self, name: str) -> Path:
        """The folder of the cell called `name`."""
        return self.cells / name

    def cell_file(self, name: str) -> Path:
        """The record of the cell called `name`."""
        return self.cell(name) / "cell.json"

    def cell_predictions_file(self, name: str) -> Path:
        """One row per test image of the cell called `name`."""
        return self.cell(name) / "predictions.parquet"

    def cell_arrays(self, name: str, test_set: str) -> Path:
        """The folder of what a cell keeps of a test set beside its rows, such as masks."""
        return self.cell(name) / test_set

    @property
    def policies_file(self) -> Path:
        """What each policy did to some training images."""
        return self.path / "policies.json"

    @property
    def policies_arrays(self) -> Path:
        """The images of `policies_file`."""
        return self.path / "policies.npz"

    @property
    def panels_file(self) -> Path:
        """Segmentation: which test images are shown with their masks."""
        return self.path / "panels.json"

    @property
    def panels_arrays(self) -> Path:
        """The images and masks of `panels_file`."""
        return self.path / "panels.npz"

    @property
    def report_file(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def lock_file(self) -> Path:
        """Held while a run works in the folder."""
        return self.path / ".lock"

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

    def read_cell(self, name: str) -> CellRecord:
        """Read the record of the cell called `name`."""
        return _read_stage(self.cell_file(name), FinishedCell, FailedCell)

    def read_cells(self) -> list[CellRecord]:
        """Read the record of every cell in the folder, by name."""
        names = sorted(path.parent.name for path in self.cells.glob("*/cell.json"))
        return [self.read_cell(name) for name in names]

    def read_generator(self, key: str) -> GeneratorRecord:
        """Read the record of the generator stage with that key."""
        return _read_stage(self.generator_file(key), FinishedGenerator, FailedGenerator)

    def read_generators(self) -> list[GeneratorRecord]:
        """Read the records of the generators that the plan needs, as far as they are there."""
        if not self.stages_file.is_file():
            return []
        keys = read_record(self.stages_file, PlannedStages, REMEDY).generators
        return [self.read_generator(key) for key in keys if self.generator_file(key).is_file()]

    def read_assessment(self, key: str) -> AssessmentRecord | None:
        """Read the assessment of the generator with that key; None where there is none."""
        path = self.assessment_file(key)
        if not path.is_file():
            return None
        return _read_stage(path, FinishedAssessment, FailedAssessment)

    def read_dataset(self) -> DatasetRecord:
        """Read what was studied."""
        return read_record(self.dataset_file, DatasetRecord, REMEDY)

    def read_prepared(self) -> PreparedRecord:
        """Read where the images are."""
        return read_record(self.prepared_file, PreparedRecord, REMEDY)

    def read_environment(self) -> EnvironmentRecord | None:
        """Read what the study ran on; None before its first run."""
        if not self.environment_file.is_file():
            return None
        return read_record(self.environment_file, EnvironmentRecord, REMEDY)

    def read_policies(self) -> PolicyExamples | None:
        """Read what the policies' pictures show; None where no arm has a policy."""
        if not self.policies_file.is_file():
            return None
        return read_record(self.policies_file, PolicyExamples, REMEDY)

    def read_panels(self) -> Panels | None:
        """Read what the panels show; None where there are none."""
        if not self.panels_file.is_file():
            return None
        return read_record(self.panels_file, Panels, REMEDY)

    def read_verdict(self) -> Verdict:
        """Read what the study found.

        Raises:
            MedgainError: it has no verdict yet, or one of another format.
        """
        return read_record(self.verdict_file, Verdict, REMEDY)


def _read_stage(path: Path, finished: type[Finished], failed: type[Failed]) -> Finished | Failed:
    """Read a stage's record as what its status says that it is."""
    value = read_json(path)
    if isinstance(value, dict) and value.get("status") == "failed":
        return parse_record(value, failed, str(path), REMEDY)
    return parse_record(value, finished, str(path), REMEDY)
