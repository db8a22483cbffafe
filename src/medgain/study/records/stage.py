"""What the records of all stages have."""

from __future__ import annotations

from typing import Literal

from medgain.runtime.records import Number, Record

Curves = dict[str, list[Number]]
"""Training curves by name; one of them says where the values were taken (`step` or `kimg`)."""


class StageRecord(Record):
    """What the record of every stage has.

    Attributes:
        key: hash of everything that determines the result.
    """

    format: Literal[1] = 1
    key: str


class Failure(Record):
    """Why a stage failed, and what to do.

    Attributes:
        traceback: of a crash; "" where the cause says all.
    """

    cause: str
    remedy: str
    traceback: str = ""


class PlannedStages(Record):
    """stages/stages.json: the keys of the generators that the plan needs."""

    format: Literal[1] = 1
    generators: list[str]
