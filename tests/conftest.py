"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blob_sets import make_set as make_set


@pytest.fixture(scope="session")
def medgain_data() -> Path:
    """The folder of real image sets: MEDGAIN_DATA, else ../shared/data beside the project."""
    named = os.environ.get("MEDGAIN_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "README.md").exists():
        pytest.skip(f"real image sets not found at {folder} (set MEDGAIN_DATA)")
    return folder.resolve()
