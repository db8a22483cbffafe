"""Check the intervals of a study by simulation; writes docs/explanation/statistics-table.md.

    python benchmarks/statistics_simulation.py [--studies 1000] [--out FILE]

Each row is a number of simulated studies: how often the verdict is "helps" or "hurts", and how
often the 95 % interval holds the true gain. Exit status 1 if a row breaks the requirement: at
most 5 % false verdicts without an effect (plus 2.33 Monte-Carlo standard errors), at least 93 %
coverage with one (minus as many). About two minutes of one core.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy starts its threads

import numpy as np  # noqa: E402
from scipy import special  # noqa: E402

from medgain.runtime.files import write_text  # noqa: E402
from medgain.runtime.progress import progress  # noqa: E402
from medgain.runtime.seeds import SeedTree  # noqa: E402
from medgain.study.inference.interval import MixedStudent  # noqa: E402
from medgain.study.inference.simulation.cross_validation import FoldSetting, simulate_folds  # noqa: E402
from medgain.study.inference.simulation.official import OfficialSetting, simulate_official  # noqa: E402
from medgain.study.inference.simulation.tally import Tally  # noqa: E402

OUT = Path(__file__).parents[1] / "docs" / "explanation" / "statistics-table.md"
REPEATS = (1, 3, 5, 10, 15)
RESAMPLES = 200
FALSE_LIMIT, COVERAGE_LIMIT, Z = 0.05, 0.93, 2.33

FOLDS = (
    FoldSetting("features of their own"),
    FoldSetting("features of their own, a quarter of the images", fraction=0.25),
    FoldSetting("the same features, other augmentation noise", shared=10, own=0),
)
OFFICIAL = (
    OfficialSetting("AUROC, trainings differ little", slope_sd=0.05, model_sd=0.3),
    OfficialSetting("AUROC, trainings differ much", slope_sd=0.3, model_sd=0.5),
    OfficialSetting("accuracy", metric="accuracy", slope_sd=0.15, offset_sd=0.1),
)
Setting = FoldSetting | OfficialSetting
EFFECTS: tuple[Setting, ...] = (
    replace(FOLDS[0], effect=0.3),
    replace(OFFICIAL[0], effect=0.2),
    replace(OFFICIAL[1], effect=0.5),
    replace(OFFICIAL[2], effect=0.3),
)


def main() -> int:
    """Run all settings, write the tables, and say whether every row meets the requirement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    begun = time.perf_counter()
    null = [(one, run(one, options.studies)) for one in (*FOLDS, *OFFICIAL)]
    known = [(one, run(one, options.studies)) for one in EFFECTS]
    seconds = time.perf_counter() - begun
    text, broken = page(null, known, options.studies)
    write_text(options.out, text)
    print(text)
    print(f"{seconds:.0f} s; written to {options.out}")
    for line in broken:
        print("BROKEN:", line)
    return 1 if broken else 0


def run(setting: Setting, studies: int) -> list[Tally]:
    """Simulate one setting at every number of cells."""
    kind = "cross-validation" if isinstance(setting, FoldSetting) else "official"
    title = f"{kind}: {setting.name}" + (", with an effect" if setting.effect else "")
    seeds = SeedTree(0).child(title)
    if isinstance(setting, OfficialSetting):
        with progress(title, studies) as advance:
            return simulate_official(
                setting,
                REPEATS,
                studies,
                seeds.numpy(),
                resamples=RESAMPLES,
                tick=lambda count: advance(count, ""),
            )
    with progress(title, 2 * studies) as advance:
        tallies = []
        for folds, repetitions in ((3, (1,)), (5, (1, 2, 3))):
            rng = seeds.child(folds).numpy()
            tallies += simulate_folds(
                setting, folds, repetitions, studies, rng, tick=lambda count: advance(count, "")
            )
        return tallies


Rows = list[tuple[Setting, list[Tally]]]


def page(null: Rows, known: Rows, studies: int) -> tuple[str, list[str]]:
    """Return the page, and a line for each row that breaks the requirement."""
    broken = []
    error = 100 * np.sqrt(FALSE_LIMIT * (1 - FALSE_LIMIT) / studies)
    lines = [
        "# Simulated studies",
        "",
        "Written by `make bench-statistics`; do not edit. "
        f"{studies:,} studies per setting, {RESAMPLES} resamples of the test groups in each.",
        "",
        "## Without an effect: false verdicts",
        "",
        f"5 % are expected; the Monte-Carlo standard error at 5 % is {error:.1f} points.",
        "",
        "| protocol | setting | cells J | **medgain** | plain t over cells "
        "| bootstrap of the test set |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for setting, tallies in null:
        for one in tallies:
            lines.append(
                f"| {label(setting, one)} | **{percent(one.found)}** | {percent(one.found_t)} "
                f"| {percent(one.found_bootstrap)} |"
            )
            if one.found > FALSE_LIMIT + Z * np.sqrt(0.05 * 0.95 / studies):
                broken.append(f"{setting.name}, J = {one.repeats}: {percent(one.found)} false")
    lines += [
        "",
        "## With a known effect: coverage and power",
        "",
        "| protocol | setting | cells J | true gain (points) | interval covers it "
        "| mean width (points) | found |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for setting, tallies in known:
        for one in tallies:
            if one.repeats < 2:
                continue
            lines.append(
                f"| {label(setting, one)} | {100 * one.truth:.2f} | **{percent(one.covered)}** "
                f"| {100 * one.width:.1f} | {percent(one.found)} |"
            )
            if one.covered < COVERAGE_LIMIT - Z * np.sqrt(0.93 * 0.07 / studies):
                broken.append(f"{setting.name}, J = {one.repeats}: covers {percent(one.covered)}")
    lines += [
        "",
        "J = 1 has no interval of ours; the column beside it is what a bootstrap of the test set "
        "makes of one pair of models. A study of few cells is the first cells of a larger one, so "
        "rows of one setting are not independent of each other.",
        "",
        *critical_values(),
    ]
    return "\n".join(lines) + "\n", broken


def critical_values(draws: int = 200_000, groups: int = 300) -> list[str]:
    """Return a table of the ways to choose a critical value, in the idealised normal case."""
    lines = [
        "## Why not Satterthwaite",
        "",
        f"Official test set, idealised: normal gains, {groups} test groups, {draws:,} studies "
        "without an effect per row. False positives at 5 %, by the share of the variance that "
        "comes from the trainings.",
        "",
        "| cells J | share | Satterthwaite | J − 1 degrees for all | **Cochran and Cox (ours)** |",
        "| --- | --- | --- | --- | --- |",
    ]
    rng = SeedTree(0).child("critical values").numpy()
    for repeats in REPEATS[1:]:
        for share in (0.2, 0.5, 0.85):
            few, many = repeats - 1, groups - 1
            cells = share * rng.chisquare(few, draws) / few
            rest = (1 - share) * rng.chisquare(many, draws) / many
            t = np.abs(rng.standard_normal(draws)) / np.sqrt(cells + rest)
            df = (cells + rest) ** 2 / (cells**2 / few + rest**2 / many)
            # MixedStudent is elementwise, so that arrays serve as well
            ours = MixedStudent(cells, few, rest, many)  # type: ignore[arg-type]
            rates = [
                (t > critical).mean()
                for critical in (
                    special.stdtrit(df, 0.975),
                    special.stdtrit(few, 0.975),
                    ours.critical(0.05),
                )
            ]
            shown = [percent(float(rate)) for rate in rates]
            lines.append(
                f"| {repeats} | {100 * share:.0f} % | {shown[0]} | {shown[1]} | **{shown[2]}** |"
            )
    return lines


def label(setting: Setting, one: Tally) -> str:
    """Return the first columns of a row."""
    if isinstance(setting, OfficialSetting):
        return f"official | {setting.name} | {one.repeats}"
    folds = 3 if one.repeats == 3 else 5
    cells = f"{one.repeats} ({folds} folds × {one.repeats // folds})"
    return f"cross-validation | {setting.name} | {cells}"


def percent(value: float) -> str:
    """Return a share in percent; a dash for NaN."""
    return "–" if np.isnan(value) else f"{100 * value:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
