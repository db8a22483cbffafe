"""The small set and its plan as fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toys import draw, toy_plan


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small set."""
    return draw().save(tmp_path_factory.mktemp("sets") / "toy")


@pytest.fixture
def plan(toy: Path) -> dict[str, Any]:
    """A plan over the small set with every kind of arm."""
    return toy_plan(toy)
