"""The terminal's table of a segmentation study: one more table, class by class."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medgain.report import terminal_table
from medgain.report.terminal.classes import class_rows


def shown(verdict: dict[str, Any], width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=stream, width=width).print(terminal_table(verdict))
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.fixture
def verdict(segmentation_folder: Path) -> dict[str, Any]:
    return json.loads((segmentation_folder / "verdict.json").read_text())


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_no_line_is_longer_than_the_terminal(verdict: dict[str, Any], width: int) -> None:
    text = shown(verdict, width)
    assert "Dice by class" in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_classes_stand_beside_one_another_with_their_gains(verdict: dict[str, Any]) -> None:
    text = shown(verdict, 100)
    assert "Dice by class, gain in points" in text
    line = [line for line in text.splitlines() if line.strip().startswith("fpn")][-1]
    assert len(line.split()) == 5


def test_narrow_terminals_give_up_the_gains(verdict: dict[str, Any]) -> None:
    line = [line for line in shown(verdict, 40).splitlines() if line.strip().startswith("fpn")][-1]
    assert len(line.split()) == 3


def test_many_classes_are_counted_where_they_have_no_room(verdict: dict[str, Any]) -> None:
    verdict["mask_classes"] += [f"class {k}" for k in range(10)]
    assert "of 12)" in shown(verdict, 80)


def test_reference_is_the_mean_of_all_its_cells(verdict: dict[str, Any]) -> None:
    head, reference, *_ = class_rows(verdict, "test")
    full = next(
        row
        for row in verdict["comparisons"]
        if row["arm"] == "fpn" and row["metric"] == "dice[kidney]"
    )
    assert head[1] == [] and reference[0] == "classical"
    assert reference[1][0] == (f"{full['reference_mean']:.3f}", "")


def test_arm_with_a_reference_of_its_own_says_so(verdict: dict[str, Any]) -> None:
    for row in verdict["comparisons"]:
        if row["arm"] == "fpn":
            row["reference"] = "real"
    assert shown(verdict, 100).count("fpn (over real)") == 2


def test_pixels_are_called_pixels(verdict: dict[str, Any]) -> None:
    text = shown({**verdict, "metric": "hd95"}, 100)
    assert "in px" in text and "points" not in text


def test_ascii_streams_get_ascii(verdict: dict[str, Any]) -> None:
    assert "?" not in shown(verdict, 100, encoding="ascii").replace("A/A", "")


def test_one_class_is_said_once(verdict: dict[str, Any]) -> None:
    assert "by class" not in shown({**verdict, "mask_classes": ["kidney"]}, 100)
