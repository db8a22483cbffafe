"""environment.json: what a study ran on."""

from __future__ import annotations

from typing import Literal

from medgain.runtime.records import Record


class EnvironmentRecord(Record):
    """What a study ran on.

    Attributes:
        packages: versions by name.
        seconds: of all runs together; None while the first one runs.
    """

    format: Literal[1] = 1
    medgain: str
    python: str
    packages: dict[str, str]
    platform: str
    cpu: str
    cpu_count: int
    gpu: str | None
    device: str
    precision: str
    threads: int
    workers: int
    seed: int
    started: str
    process: int
    seconds: float | None = None
