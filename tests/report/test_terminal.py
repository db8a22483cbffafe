"""The verdict table of the terminal, wide and narrow, fancy and plain."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medgain.report import terminal_table
from small_studies import told


def shown(verdict: dict[str, Any], width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=stream, width=width).print(terminal_table(verdict))
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.fixture
def verdict(study_folder: Path) -> dict[str, Any]:
    return json.loads((study_folder / "verdict.json").read_text())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_no_line_is_longer_than_the_terminal(verdict: dict[str, Any], width: int) -> None:
    assert max(len(line) for line in shown(verdict, width).splitlines()) <= width


def test_sixty_columns_keep_arm_gain_interval_and_verdict(verdict: dict[str, Any]) -> None:
    text = shown(verdict, 60)
    assert "p (Holm)" not in text
    line = next(line for line in text.splitlines() if line.strip().startswith("oversample"))
    assert "−" in line and " to " in line and line.rstrip().endswith("hurts")


def test_wide_terminals_show_everything(verdict: dict[str, Any]) -> None:
    text = shown(verdict, 160)
    for head in ("score", "p (Holm)", "pairs", "worth in real images"):
        assert head in text


def test_output_that_is_no_terminal_has_no_escapes(verdict: dict[str, Any]) -> None:
    assert "\x1b" not in shown(verdict, 80)


def test_ascii_streams_get_ascii(verdict: dict[str, Any]) -> None:
    text = shown(verdict, 80, encoding="ascii")
    assert "-2." in text or "-3." in text
    assert "?" not in text.replace("A/A", "")


def test_lines_below_tell_control_power_and_failures(verdict: dict[str, Any]) -> None:
    text = shown(verdict, 120)
    assert "A/A control passed its check" in text
    assert "Smallest gain that this study would have found (80 %): 2.1 points." in text
    assert "2 cells failed" in text


def test_failed_control_shouts(verdict: dict[str, Any]) -> None:
    for row in verdict["comparisons"]:
        if row["control"] == "aa":
            row["verdict"] = "hurts"
            row["sentence"] = told(row)
    text = shown(verdict, 120)
    assert "A/A FAILED" in text and "FAILED its check" in text


def test_phantoms_are_announced(verdict: dict[str, Any]) -> None:
    assert shown({**verdict, "origin": "phantom"}, 60).startswith("PHANTOM")


def test_nulls_are_dashes(verdict: dict[str, Any]) -> None:
    keys = ("gain", "ci_low", "ci_high", "p_value", "p_holm", "mean", "worth_real_images")
    for row in verdict["comparisons"]:
        row.update(dict.fromkeys(keys))
    text = shown(verdict, 160)
    assert "not compared" in text and "None" not in text and "nan" not in text


def test_markup_in_names_is_text(verdict: dict[str, Any]) -> None:
    verdict["comparisons"][0]["arm"] = "[red]x[/red]"
    assert "[red]x[/red]" in shown(verdict, 160)


def test_empty_verdict_prints_nothing_wrong() -> None:
    assert shown({}, 60) == ""
