"""The report: one self-contained HTML page of a study, and the verdict table of the terminal."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medgain.report.study.page import write_report as write_report
    from medgain.report.terminal.verdicts import terminal_table as terminal_table

_PUBLIC = {
    "terminal_table": "medgain.report.terminal.verdicts",
    "write_report": "medgain.report.study.page",
}
__all__ = ["terminal_table", "write_report"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'medgain.report' has no attribute '{name}'")
