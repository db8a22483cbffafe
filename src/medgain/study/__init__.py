"""Floor 6: studies. The plan, its cells, stages and executors, statistics and verdicts.

The names below load on first use, so that what is registered here is listed without them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medgain.study.plan.loading import load_plan as load_plan
    from medgain.study.plan.plan import Plan as Plan
    from medgain.study.study import Study as Study
    from medgain.study.study import StudyResult as StudyResult
    from medgain.study.study import open_study as open_study

_PUBLIC = {
    "Plan": "medgain.study.plan.plan",
    "Study": "medgain.study.study",
    "StudyResult": "medgain.study.study",
    "load_plan": "medgain.study.plan.loading",
    "open_study": "medgain.study.study",
}
__all__ = ["Plan", "Study", "StudyResult", "load_plan", "open_study"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'medgain.study' has no attribute '{name}'")
