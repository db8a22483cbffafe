"""What every section of the page needs: the study's files, the look of its arms, its units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from markupsafe import Markup

from medgain.metrics.base import split_metric
from medgain.report.charts.svg import Style, arm_styles, swatch
from medgain.report.shared.metrics import known_metric, metric_name, metric_unit, metric_value
from medgain.report.study.files import StudyFiles
from medgain.runtime.text import NONE, count, percent

Block = dict[str, Any]


@dataclass(frozen=True)
class Frame:
    """A study with the look of its arms, equal in every figure and table."""

    files: StudyFiles

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Return colour and mark of every arm."""
        sweeps = {
            str(row["arm"]): f"sweep {row['sweep'].get('name')}"
            for row in self.files.comparisons
            if isinstance(row.get("sweep"), dict)
        }
        return arm_styles(self.files.arms, self.files.reference, self.files.controls, sweeps)

    @cached_property
    def swatches(self) -> dict[str, Markup]:
        """Return the little legend mark of every arm."""
        return {arm: swatch(style) for arm, style in self.styles.items()}

    @cached_property
    def metrics(self) -> list[str]:
        """Return the metrics in the results, the primary one first."""
        found = [str(name) for name in self.files.results["metric"].unique()]
        found += [str(row["metric"]) for row in self.files.comparisons]
        unique = list(dict.fromkeys(found))
        return sorted(unique, key=lambda name: name != self.files.metric)

    @property
    def overall_metrics(self) -> list[str]:
        """Return the metrics of the whole test set; those of one class stand in its own table."""
        whole = [name for name in self.metrics if not name.endswith("]")]
        return whole or self.metrics

    @property
    def segmentation(self) -> bool:
        """Tell whether the study's task is segmentation."""
        return self.files.verdict.get("task") == "segmentation"

    @property
    def grouped(self) -> bool:
        """Tell whether images have known groups (patients); else a case is an image."""
        return self.files.card.get("groups_known") is not False

    @property
    def mask_classes(self) -> list[str]:
        """Return the foreground classes of the masks; value k is the class at k − 1."""
        named = self.files.verdict.get("mask_classes") or self.files.card.get("mask_classes")
        return [str(name) for name in named or []]

    def repeats_the_whole(self, metric: str) -> bool:
        """Tell whether this is a metric of the one class, equal to that of the whole."""
        base, owner = split_metric(metric)
        return bool(owner) and len(self.mask_classes) == 1 and base in self.metrics

    @cached_property
    def real_images(self) -> dict[float, float]:
        """Return the real images (training and validation) at each fraction, mean over cells."""
        found: dict[float, list[float]] = {}
        for cell in self.files.cells:
            if cell.get("real_images"):
                found.setdefault(float(cell["fraction"]), []).append(float(cell["real_images"]))
        return {fraction: sum(sizes) / len(sizes) for fraction, sizes in found.items()}

    @cached_property
    def ok_results(self) -> pd.DataFrame:
        """Return the results of the cells that finished."""
        return self.files.results.dropna(subset=["value"])

    def unit(self, metric: str) -> str:
        """Return a metric's unit: "" for a pure number, whose gains are told in points."""
        return metric_unit(metric)

    def higher_is_better(self, metric: str) -> bool:
        """Return a metric's direction; the verdict says the primary one's."""
        known = known_metric(metric)
        if known:
            return known.higher_is_better
        return bool(self.files.verdict.get("higher_is_better", True))

    def metric_line(self, metric: str) -> str:
        """Return what a metric measures."""
        known = known_metric(metric)
        return known.summary if known else ""

    def value(self, metric: str, value: Any) -> str:
        """Return a metric's value: three digits of a pure number, one of pixels or millimetres."""
        return metric_value(metric, value)

    def fraction_line(self, fraction: float) -> str:
        """Return "5 % of the training data · 261 real images"."""
        whole = "All of" if fraction >= 1 else f"{percent(fraction)} of"
        images = self.real_images.get(fraction)
        line = f"{whole} the training data"
        return f"{line} · {count(images)} real images" if images else line

    def views(self) -> list[tuple[str, float]]:
        """Return (test set, fraction): the study's own test set first, then larger fractions."""
        fractions = sorted(self.files.fractions, reverse=True)
        return [(name, fraction) for name in self.files.test_sets for fraction in fractions]

    def view_line(self, test_set: str, fraction: float) -> str:
        """Return the title of one view."""
        return f"{self.test_line(test_set)} · {self.fraction_line(fraction)}"

    def test_line(self, test_set: str) -> str:
        """Return how a test set is called on the page."""
        if test_set == "test":
            return "Test set"
        return f"External set “{test_set}”" if test_set else NONE

    def legend(self, arms: list[str]) -> list[Block]:
        """Return the legend of a figure that shows `arms`."""
        return [{"arm": arm, "swatch": self.swatches[arm], "role": self.role(arm)} for arm in arms]

    def role(self, arm: str) -> str:
        """Return "reference", "A/A control" or nothing."""
        if arm == self.files.reference:
            return "reference"
        return "A/A control" if arm in self.files.controls else ""

    def other_reference(self, row: dict[str, Any]) -> str:
        """Return "over NAME" where a comparison is with another arm than the study's reference."""
        other = str(row.get("reference") or self.files.reference)
        return "" if other == self.files.reference else f"over {other}"

    def heading(self) -> str:
        """Return the primary metric's name."""
        return metric_name(self.files.metric) if self.files.metric else "the metric"
