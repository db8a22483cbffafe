"""A study: run its plan to the end, resume it, and read what it found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medgain.runtime.device import cpu_count
from medgain.runtime.errors import ConfigError, MedgainError
from medgain.runtime.progress import log, progress
from medgain.runtime.records import write_record
from medgain.study.dataset import prepare
from medgain.study.environment import describe_environment, resolve_runtime
from medgain.study.executors.base import EXECUTORS
from medgain.study.folder import StudyFolder
from medgain.study.inference.conclusion import conclude
from medgain.study.inference.generator_summary import read_assessments
from medgain.study.notebook import verdict_html
from medgain.study.plan.loading import load_plan
from medgain.study.plan.plan import Plan
from medgain.study.records.stage import PlannedStages
from medgain.study.records.verdict import Verdict
from medgain.study.results.examples import write_policy_examples
from medgain.study.results.gather import Results, gather
from medgain.study.results.panels import write_panels
from medgain.study.results.prediction_tables import write_prediction_tables
from medgain.study.stages.base import StageContext, StageResult
from medgain.study.stages.generator import GeneratorStage
from medgain.study.stages.graph import by_kind, list_stages
from medgain.study.stages.run import run_stage


@dataclass(frozen=True)
class StudyResult:
    """What a study found: tables and verdicts, and the folder that holds them."""

    folder: Path
    results: Results
    verdict: Verdict

    def _repr_html_(self) -> str:
        """Return the verdict table, which a notebook shows."""
        return verdict_html(self.verdict)


class Study:
    """A plan that can be run.

    Example:
        >>> study = Study.load("recipes/pneumonia-dcgan.yaml", preset="smoke")  # doctest: +SKIP
        >>> result = study.run("studies/cxr", workers=2)  # doctest: +SKIP
        >>> result.verdict.comparisons[0].sentence  # doctest: +SKIP
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = resolve_runtime(plan)

    @classmethod
    def load(
        cls,
        source: Path | str | dict[str, Any],
        *,
        preset: str | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> Study:
        """Read a plan from a YAML file or a dict; see `medgain.study.plan.loading.load_plan`."""
        return cls(load_plan(source, preset=preset, overrides=overrides))

    def run(
        self,
        out: Path | str,
        *,
        resume: bool = False,
        workers: int | None = None,
        executor: str | None = None,
        retry_failed: bool = False,
    ) -> StudyResult:
        """Run every stage that is not finished, and write results and verdicts to `out`.

        Args:
            resume: go on in a folder that holds a study; finished stages are not run again.
            workers: how many stages run at a time; by default one for each CPU's worth of
                `runtime.threads` on a CPU, and one on a GPU. The numbers don't depend on it.
            executor: a registered executor; by default `serial` for one worker.
            retry_failed: run failed stages again, with the same seeds.

        Raises:
            ConfigError: `out` holds a study already and `resume` is not given.
            LeakError: the data leak.
        """
        folder = StudyFolder(Path(out))
        workers = workers or self.workers()
        if workers < 1:
            raise ConfigError(f"{workers} workers can't run a study", "use one or more")
        if folder.plan_file.exists() and not resume:
            raise ConfigError(
                f"{out} holds a study already", "pass --resume to go on, or choose another --out"
            )
        with _lock(folder):
            started = time.perf_counter()
            environment = describe_environment(self.plan, workers)
            before = folder.read_environment()
            write_record(folder.environment_file, environment)
            prepared = prepare(self.plan, folder)
            folder.write_plan(self.plan)
            write_policy_examples(self.plan, folder, prepared)
            execute = EXECUTORS.get(executor or ("serial" if workers == 1 else "processes"))
            stages = list_stages(self.plan, prepared)
            context = StageContext(folder, self.plan, prepared)
            keys = [one.key(context) for one in stages if isinstance(one, GeneratorStage)]
            write_record(folder.stages_file, PlannedStages(generators=keys))
            with progress("stages", len(stages)) as advance:
                for ended in execute(
                    stages, partial(run_stage, folder.path, retry_failed), workers
                ):
                    advance(1, _note(ended))
            earlier = (before.seconds or 0.0) if before is not None else 0.0
            seconds = earlier + time.perf_counter() - started
            write_record(
                folder.environment_file, environment.model_copy(update={"seconds": seconds})
            )
            return self.conclude(folder.path)

    def outline(self) -> list[str]:
        """Return what `run` would do, a line each, without doing it."""
        with TemporaryDirectory() as scratch:
            folder = StudyFolder(Path(scratch))
            prepared = prepare(self.plan, folder)
            dataset = folder.read_dataset()
            kinds = by_kind(list_stages(self.plan, prepared))
        counts = [f"{len(stages)} {kind}" for kind, stages in kinds.items()]
        lines = [
            f"{dataset.images:,} images; {dataset.leak_check.statement}",
            f"{len(self.plan.arms)} arms, {len(self.plan.fractions)} fractions: to run are "
            + ", then ".join(counts),
        ]
        if dataset.test_part is not None:
            lines.append(dataset.test_part.statement)
        for part in dataset.parts:
            per_class = ", ".join(f"{n} {name}" for name, n in part.train_per_class.items())
            lines.append(
                f"fraction {part.fraction:g}, fold {part.fold}, repeat {part.repeat}:"
                f" {part.train_images} train ({per_class}),"
                f" {part.validation_images} validation, {part.test_images} test images"
            )
        return lines

    def conclude(self, out: Path | str) -> StudyResult:
        """Gather the finished cells in `out`, compare the arms, and write the verdicts."""
        folder = StudyFolder(Path(out))
        results = gather(self.plan, folder)
        dataset = folder.read_dataset()
        write_prediction_tables(self.plan, folder, results.predictions, dataset.card)
        if self.plan.task_kind.needs_masks:
            write_panels(self.plan, folder, results.predictions)
        verdict = conclude(self.plan, results, dataset, read_assessments(folder))
        write_record(folder.verdict_file, verdict)
        return StudyResult(folder.path, results, verdict)

    def workers(self) -> int:
        """Return how many stages `run` has at a time unless it is told."""
        if not self.plan.runtime.device.startswith("cpu"):
            return 1
        return max(1, cpu_count() // self.plan.runtime.threads)


def open_study(path: Path | str) -> Study:
    """Open the study that was run in `path`, with the plan as it was resolved then."""
    return Study(StudyFolder(Path(path)).read_plan())


def _note(ended: StageResult) -> str:
    if ended.status == "failed":
        log(f"failed: {ended.stage.title}: {ended.cause}")
        return "failed, recorded"
    return "cached" if ended.status == "cached" else ""


@contextmanager
def _lock(folder: StudyFolder) -> Iterator[None]:
    """Keep two runs out of one folder. The lock goes with the process, however it ends."""
    import fcntl

    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.lock_file.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MedgainError(
                f"another run works in {folder.path}", "wait for it, or choose another --out"
            ) from None
        yield
