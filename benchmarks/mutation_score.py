"""How many small faults in what a verdict rests on does a test notice?

Runs mutmut over the modules named in `[tool.mutmut]` of pyproject.toml, on every mutant or, with
--share, on an evenly spaced sample of each module's, and prints the share that was killed by
module, and each survivor with its change. Mutants of messages are left out by the configuration:
a verdict does not rest on them.

    python benchmarks/mutation_score.py --share 0.25
    python benchmarks/mutation_score.py --only study.inference
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTANTS = ROOT / "mutants"
KILLED = "killed"
# a mutant that never ends is noticed too; mutmut's exit codes are those of pytest, or signals
WORDS = {0: "survived", 1: KILLED, 3: KILLED, 5: "no tests", 33: "no tests", 36: "timeout"}
ENDLESS = {24, -24, 36, 152, 255}


def states() -> dict[str, int | None]:
    """Return the exit code of each mutant's tests by its name; None where it was not run."""
    found: dict[str, int | None] = {}
    for meta in sorted((MUTANTS / "src").rglob("*.meta")):
        found |= json.loads(meta.read_text())["exit_code_by_key"]
    return found


def module_of(mutant: str) -> str:
    """Return the module that a mutant is in: "study.inference.holm"."""
    return mutant.removeprefix("medgain.").rpartition(".")[0].partition(".x")[0]


def word(code: int | None) -> str:
    """Return how a mutant ended, in a word."""
    if code is None:
        return "not run"
    return "timeout" if code in ENDLESS else WORDS.get(code, KILLED)


def mutmut(*arguments: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    command = [str(Path(sys.executable).parent / "mutmut"), *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=False)


def show(mutant: str) -> list[str]:
    """Return the lines that a mutant changes."""
    command = [str(Path(sys.executable).parent / "mutmut"), "show", mutant]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [
        line
        for line in shown.splitlines()
        if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of each module's mutants")
    parser.add_argument("--only", default="", help="modules whose name holds this")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    if not (MUTANTS / "mutmut-stats.json").exists():
        mutmut("run", "medgain.none*")  # makes the mutants, and notes which test calls what
    by_module: dict[str, list[str]] = defaultdict(list)
    for mutant in states():
        if asked.only in module_of(mutant):
            by_module[module_of(mutant)].append(mutant)
    every = max(1, round(1 / asked.share))
    chosen = [name for names in by_module.values() for name in names[::every]]
    print(f"{len(chosen):,} of {sum(map(len, by_module.values())):,} mutants")
    ended = states()
    waiting = [name for name in chosen if ended[name] is None]
    if waiting:
        mutmut("run", "--max-children", str(asked.workers), *waiting)
    ended = states()
    print(f"\n{'module':<40}{'mutants':>8}{'killed':>8}{'timeout':>8}{'survived':>9}{'score':>8}")
    totals = [0, 0]
    for module, names in sorted(by_module.items()):
        words = [word(ended[name]) for name in names if name in set(chosen)]
        tested = [found for found in words if found != "not run"]
        noticed = sum(found in (KILLED, "timeout") for found in tested)
        totals = [totals[0] + noticed, totals[1] + len(tested)]
        if tested:
            print(
                f"{module:<40}{len(tested):>8}{words.count(KILLED):>8}{words.count('timeout'):>8}"
                f"{len(tested) - noticed:>9}{100 * noticed / len(tested):>7.1f}%"
            )
    if totals[1]:
        print(f"{'all':<40}{totals[1]:>8}{100 * totals[0] / totals[1]:>32.1f}%\n")
    for name in chosen:
        if word(ended[name]) in ("survived", "no tests"):
            print(f"{name}: {word(ended[name])}", *show(name), sep="\n    ")


if __name__ == "__main__":
    main()
