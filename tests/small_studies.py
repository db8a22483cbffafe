"""Small studies for the tests of report and study."""

from __future__ import annotations

from typing import Any

import numpy as np

from medgain.metrics.base import find_metric
from medgain.study.inference.interval import GainEstimate
from medgain.study.inference.verdict import sentence


def told(row: dict[str, Any]) -> str:
    """Return the sentence that a study writes for a comparison."""
    gain = np.nan if row["gain"] is None else row["gain"]
    low, high = row["ci_low"] or np.nan, row["ci_high"] or np.nan
    reason = "no paired trainings" if row["gain"] is None else ""
    return sentence(
        GainEstimate(
            gain, 0.01, 4, low, high, 0.01, row["repeats"], row["failed_cells"], reason=reason
        ),
        row["verdict"],
        arm=row["arm"],
        reference=row["reference"],
        metric=find_metric(row["metric"]),
        p_holm=row["p_holm"] or np.nan,
        control=row["control"] == "aa",
    )
