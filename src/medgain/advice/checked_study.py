"""Check whether a plan can run on its set: open it, guard it against leaks, and split it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from medgain.advice.planning import Suggestion
from medgain.runtime.errors import MedgainError
from medgain.study import Study
from medgain.study.dataset import Prepared, prepare
from medgain.study.folder import StudyFolder
from medgain.study.records.dataset import DatasetRecord
from medgain.study.stages.base import Stage
from medgain.study.stages.graph import list_stages


@dataclass(frozen=True)
class CheckedStudy:
    """A study that can run.

    Attributes:
        suggestion: what is to be tried, as it can run.
        study: its plan, checked, for this machine.
        folder: where it was prepared; worker processes read it there.
        prepared: the data that its cells work on.
        dataset: what `dataset.json` would hold.
        left_out: fractions that were too small for the set, and why.
    """

    suggestion: Suggestion
    study: Study
    folder: StudyFolder
    prepared: Prepared
    dataset: DatasetRecord
    left_out: tuple[str, ...] = ()

    def stages(self, suggestion: Suggestion | None = None) -> list[Stage]:
        """Return the stages of this study, or of a smaller one on the same data."""
        study = self.study if suggestion is None else make_study(suggestion, self.study)
        return list_stages(study.plan, self.prepared)


def make_study(suggestion: Suggestion, like: Study | None = None, device: str = "auto") -> Study:
    """Return the study of a suggestion.

    Args:
        like: takes its device, in place of `device`.
    """
    chosen = like.plan.runtime.device if like is not None else device
    return Study.load(suggestion.plan(), overrides={"runtime": {"device": chosen}})


def try_plan(suggestion: Suggestion, path: Path, device: str = "auto") -> CheckedStudy:
    """Prepare the suggested study in the folder `path`, dropping what can't be done.

    Images in two parts of the set are left out of training, as `on_leak: drop` does, and
    fractions that leave too few groups are left out of the plan.

    Raises:
        MedgainError: no study of this kind can run on the set; says why.
    """
    left_out: list[str] = []
    suggestion = replace(suggestion, drop_leaks=True)
    while True:
        study = make_study(suggestion, device=device)
        folder = StudyFolder(path)
        try:
            prepared = prepare(study.plan, folder)
            break
        except MedgainError as error:
            if len(suggestion.fractions) < 2:
                raise
            left_out.append(f"fraction {suggestion.fractions[0]:g}: {error.problem}")
            suggestion = _without_smallest(suggestion)
    dataset = folder.read_dataset()
    if not dataset.leak_check.leaks:
        suggestion = replace(suggestion, drop_leaks=False)
        study = make_study(suggestion, device=device)
    folder.write_plan(study.plan)
    return CheckedStudy(suggestion, study, folder, prepared, dataset, tuple(left_out))


def _without_smallest(suggestion: Suggestion) -> Suggestion:
    fractions = suggestion.fractions[1:]
    few = [fraction for fraction in suggestion.few if fraction in fractions]
    return replace(suggestion, fractions=fractions, few=few or fractions[:1])
