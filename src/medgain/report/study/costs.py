"""What the study cost, and what failed in it."""

from __future__ import annotations

from typing import Any

from medgain.report.study.frame import Block, Frame
from medgain.runtime.text import count, duration, number, percent, plural


def costs(frame: Frame) -> Block:
    """Return what each arm cost, and the whole run."""
    rows = []
    for arm in frame.files.arms:
        for fraction in frame.files.fractions:
            cells = frame.files.cells_of(arm, fraction)
            done = [cell for cell in cells if cell.get("status") == "ok"]
            if cells:
                rows.append(
                    {
                        "arm": arm,
                        "swatch": frame.swatches[arm],
                        "fraction": percent(fraction),
                        "real": _spread(done, "real_images"),
                        "copied": _spread(done, "oversampled_images"),
                        "synthetic": _spread(done, "synthetic_images"),
                        "steps": _spread(done, "steps"),
                        "train": _mean_seconds(done, "train_seconds"),
                        "generator": _mean_seconds(done, "generator_seconds"),
                    }
                )
    return {"rows": rows, "lines": _cost_lines(frame)}


def energy_used(stages: list[Block]) -> str:
    """Return the energy of training `stages` and what told it; nothing where it is unknown."""
    trained = [stage for stage in stages if number(stage.get("steps"))]
    used = [wh for stage in trained if (wh := number(stage.get("energy_wh"))) is not None]
    if not used or len(used) < len(trained):
        return ""
    sources = sorted({stage.get("energy_source") or "" for stage in trained} - {""})
    told = f" ({', '.join(sources)})" if sources else ""
    return f", {sum(used):.3g} Wh{told}"


def _cost_lines(frame: Frame) -> list[str]:
    lines = []
    steps = {
        cell["steps"]
        for cell in frame.files.cells
        if cell.get("status") == "ok" and cell.get("steps")
    }
    if len(steps) == 1:
        lines.append(f"Every model was trained for {count(steps.pop())} optimiser steps.")
    elif steps:
        lines.append(
            f"Models were trained for {count(min(steps))} to {count(max(steps))} optimiser steps "
            "(the same limit for all; early stopping may end sooner)."
        )
    stages = frame.files.generators
    if stages:
        total = sum(number(stage.get("seconds")) or 0 for stage in stages)
        memory = max((number(stage.get("peak_memory_mb")) or 0 for stage in stages), default=0)
        peak = f", peak memory {count(memory)} MB" if memory else ""
        lines.append(
            f"{plural(len(stages), 'generator')} trained once and shared between arms: "
            f"{duration(total)} together{peak}{energy_used(stages)}."
        )
    training = sum(number(cell.get("train_seconds")) or 0 for cell in frame.files.cells)
    lines.append(
        f"{plural(len(frame.files.cells), 'cell')}: {duration(training)} of training together."
    )
    if number(frame.files.environment.get("seconds")) is not None:
        workers = frame.files.environment.get("workers")
        at = f" with {plural(workers, 'worker')}" if number(workers) else ""
        lines.append(f"The whole run took {duration(frame.files.environment['seconds'])}{at}.")
    return lines


def failures(frame: Frame) -> list[Block]:
    """Return every failed generator and cell with its cause and what to try."""
    failed = [("generator", stage) for stage in frame.files.generators if _failed(stage)]
    failed += [("cell", cell) for cell in frame.files.cells if _failed(cell)]
    return [
        {
            "kind": kind,
            "name": item.get("arm") if kind == "cell" else item.get("generator"),
            "where": _where(item),
            "cause": item.get("cause") or "no cause was recorded",
            "remedy": item.get("remedy") or "",
        }
        for kind, item in failed
    ]


def _failed(item: dict[str, Any]) -> bool:
    return item.get("status") == "failed"


def _where(item: dict[str, Any]) -> str:
    label = f"{item['label']}, " if item.get("label") else ""
    return (
        f"{label}{percent(item.get('fraction'))}, fold {item.get('fold', '–')}, "
        f"repeat {item.get('repeat', '–')}"
    )


def _spread(cells: list[dict[str, Any]], key: str) -> str:
    values = [v for cell in cells if (v := number(cell.get(key))) is not None]
    if not values:
        return "–"
    low, high = min(values), max(values)
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def _mean_seconds(cells: list[dict[str, Any]], key: str) -> str:
    values = [v for cell in cells if (v := number(cell.get(key))) is not None]
    return duration(sum(values) / len(values)) if any(values) else "–"
