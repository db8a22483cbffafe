"""Which stages a plan comes down to, each with those that it needs."""

from __future__ import annotations

from collections.abc import Sequence

from medgain.study.cells import list_cells
from medgain.study.dataset import Prepared
from medgain.study.plan.plan import Plan
from medgain.study.stages.assessment import AssessmentStage
from medgain.study.stages.base import Stage
from medgain.study.stages.cell import CellStage
from medgain.study.stages.generator import GeneratorStage, generator_stages


def list_stages(plan: Plan, prepared: Prepared) -> list[Stage]:
    """Return the stages of a study: generators that cells need, the cells, assessments.

    What takes longest comes first: of those that may start, an executor starts the first.
    """
    generators: dict[GeneratorStage, None] = {}
    cells = []
    for cell in list_cells(plan):
        needed = generator_stages(plan, prepared, cell)
        generators |= dict.fromkeys(needed)
        cells.append(CellStage(cell, tuple(needed)))
    assessed = [AssessmentStage(stage) for stage in generators] if plan.assess else []
    return [*generators, *cells, *assessed]


def by_kind(stages: Sequence[Stage]) -> dict[str, list[Stage]]:
    """Return the stages by what several of them are called, such as "cells"."""
    found: dict[str, list[Stage]] = {}
    for stage in stages:
        found.setdefault(stage.kind, []).append(stage)
    return found
