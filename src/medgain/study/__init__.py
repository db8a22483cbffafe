"""Floor 5: studies. The plan, its cells, stages and executors, statistics and verdicts."""

from medgain.study.plan.loading import load_plan as load_plan
from medgain.study.plan.plan import Plan as Plan
from medgain.study.study import Study as Study
from medgain.study.study import StudyResult as StudyResult
from medgain.study.study import open_study as open_study

__all__ = ["Plan", "Study", "StudyResult", "load_plan", "open_study"]
