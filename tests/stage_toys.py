"""Made-up stages, in a module that worker processes can import."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Toy:
    """A stage that is a name, what it needs, and whose beginning it waits for."""

    name: str
    needs: tuple[Toy, ...] = ()
    waits_for: str = ""


def run(folder: Path, stage: Toy) -> str:
    """Leave a file at the beginning and one at the end, which only appear after its needs."""
    for need in stage.needs:
        assert (folder / f"{need.name}.ended").exists(), f"{stage.name} ran before {need.name}"
    (folder / f"{stage.name}.begun").touch(exist_ok=False)
    begun = time.monotonic()
    while stage.waits_for and not (folder / f"{stage.waits_for}.begun").exists():
        assert time.monotonic() - begun < PATIENCE_SECONDS, f"{stage.waits_for} never began"
        time.sleep(0.01)
    (folder / f"{stage.name}.ended").touch()
    return stage.name


def fail(stage: Toy) -> str:
    raise OSError("no space left")
