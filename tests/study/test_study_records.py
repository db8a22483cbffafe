"""What a study writes is what its records read; anything else is refused by file and key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from medgain import Study
from medgain.generators.models.gaussian import GaussianGenerator
from medgain.runtime.errors import DataError, TrainingFailure
from medgain.study.folder import StudyFolder
from medgain.study.records.assessment import FinishedAssessment
from medgain.study.records.cell import FailedCell, FinishedCell
from medgain.study.records.generator import FailedGenerator, FinishedGenerator
from toys import toy_plan

KEPT, BROKEN = "resampler", "gaussian"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, toy) -> StudyFolder:
    """A study with a generator that works and one that fails."""
    plan = toy_plan(toy) | {"fractions": [1.0], "assess": True}
    plan["protocol"]["seeds"] = 1
    plan["arms"] = {"real": {}, "classical": plan["arms"]["classical"]} | {
        name: {"synthetic": {"generator": name, "ratio": 0.5}} for name in (KEPT, BROKEN)
    }

    def fail(*_: object) -> None:
        raise TrainingFailure("it diverged", "train it for less")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GaussianGenerator, "fit", fail)
        out = tmp_path_factory.mktemp("records") / "out"
        Study.load(plan).run(out, workers=1)
    return StudyFolder(out)


FILES = {
    "dataset.json": lambda folder, path: folder.read_dataset(),
    "environment.json": lambda folder, path: folder.read_environment(),
    "policies.json": lambda folder, path: folder.read_policies(),
    "prepared/prepared.json": lambda folder, path: folder.read_prepared(),
    "stages/stages.json": lambda folder, path: folder.read_generators(),
    "stages/generators/*/stage.json": lambda folder, path: folder.read_generator(path.parent.name),
    "stages/generators/*/assessment.json": lambda folder, path: folder.read_assessment(
        path.parent.name
    ),
    "cells/*/cell.json": lambda folder, path: folder.read_cell(path.parent.name),
    "verdict.json": lambda folder, path: folder.read_verdict(),
}


@pytest.mark.parametrize("pattern", FILES)
def test_a_record_reads_what_is_written(folder, pattern):
    paths = sorted(folder.path.glob(pattern))
    assert paths
    for path in paths:
        found, written = FILES[pattern](folder, path), json.loads(path.read_text("utf-8"))
        if not isinstance(found, list):
            assert found.model_dump(mode="json") == written
            assert written["format"] == 1


@pytest.mark.parametrize("pattern", FILES)
def test_an_unknown_or_missing_key_is_refused_by_file_and_key(folder, pattern, tmp_path):
    copy = StudyFolder(Path(shutil.copytree(folder.path, tmp_path / "copy")))
    for path in sorted(copy.path.glob(pattern)):
        text = path.read_text("utf-8")
        written, read = json.loads(text), FILES[pattern](copy, path)
        fields = {} if isinstance(read, list) else type(read).model_fields
        needed = [key for key in written if key in fields and fields[key].is_required()]
        changed = {"surprise": {**written, "surprise": 3}}
        for key in ("format", *needed):
            changed[key] = {other: value for other, value in written.items() if other != key}
        for key, content in changed.items():
            path.write_text(json.dumps(content), "utf-8")
            with pytest.raises(DataError) as refused:
                FILES[pattern](copy, path)
            assert str(path) in refused.value.problem and key in refused.value.problem
            assert "this version of medgain" in refused.value.remedy
        path.write_text(text, "utf-8")


def test_what_failed_is_of_another_type_than_what_finished(folder):
    cells = {record.arm: record for record in folder.read_cells()}
    assert isinstance(cells[KEPT], FinishedCell)
    assert isinstance(cells[BROKEN], FailedCell)
    assert "its generator gaussian" in cells[BROKEN].cause and "diverged" in cells[BROKEN].cause
    assert cells[BROKEN].remedy == "train it for less"
    for record in folder.read_generators():
        kind = FinishedGenerator if record.generator == KEPT else FailedGenerator
        assert type(record) is kind
        assessed = folder.read_assessment(record.key)
        assert isinstance(assessed, FinishedAssessment)
        assert (assessed.reason == "the generator failed") == (record.generator == BROKEN)
