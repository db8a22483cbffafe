"""The JSON schemas in the documentation are those of the records."""

from __future__ import annotations

from collections import Counter

import pytest

from record_schemas import SCHEMAS, all_records, schema

RECORDS = all_records()


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_the_schema_in_the_documentation_is_that_of_the_record(kind):
    path = SCHEMAS / f"{kind.__name__}.json"
    assert path.is_file(), "run make schemas"
    assert path.read_text(encoding="utf-8") == schema(kind), "run make schemas"


def test_every_schema_is_of_a_record_and_names_are_unique():
    names = [kind.__name__ for kind in RECORDS]
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(names)
    assert max(Counter(names).values()) == 1
    assert {"FinishedCell", "FailedCell", "Verdict", "AuditResult", "ScoreResult"} <= set(names)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_every_record_is_frozen_and_refuses_unknown_keys(kind):
    assert kind.model_config["frozen"] and kind.model_config["extra"] == "forbid"
