"""Tables of a study's predictions that stand beside the metrics: confusion and ROC curves."""

from __future__ import annotations

import pandas as pd

from medgain.imageset.imageset import Card
from medgain.runtime.files import atomic_path
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan

KEYS = ("cell", "arm", "fraction", "fold", "repeat", "test_set")


def write_prediction_tables(
    plan: Plan, folder: StudyFolder, predictions: pd.DataFrame, card: Card
) -> None:
    """Write the tables that the task makes of each cell's predictions on each test set.

    Args:
        predictions: what predictions.parquet holds.
        card: of the data set.
    """
    if not len(predictions):
        return
    found: dict[str, list[pd.DataFrame]] = {}
    for _, rows in predictions.groupby(["cell", "test_set"], sort=False):
        first = rows.iloc[0]
        tables = plan.make_task(first["arm"]).prediction_tables(rows, card.model_dump())
        for name, table in tables.items():
            known = pd.DataFrame({key: [first[key]] * len(table) for key in KEYS})
            found.setdefault(name, []).append(pd.concat([known, table], axis=1))
    for name, parts in found.items():
        with atomic_path(folder.prediction_table(name)) as temporary:
            pd.concat(parts, ignore_index=True).to_parquet(temporary, index=False)
