"""Executors: each stage runs once and after those that it needs, and nothing waits for more."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest

from medgain.study.executors import EXECUTORS
from stage_toys import Toy, fail, run

EVERY = [entry.name for entry in EXECUTORS]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("workers", [1, 2])
def test_every_stage_runs_once_and_after_its_needs(name, workers, tmp_path):
    first, other = Toy("first"), Toy("other")
    middle = Toy("middle", (first, other))
    stages = [Toy("last", (middle, first)), middle, first, other, Toy("alone")]
    ended = list(EXECUTORS.get(name)(stages, partial(run, tmp_path), workers))
    assert sorted(ended) == sorted(stage.name for stage in stages)


def test_a_cell_begins_before_an_unrelated_generator_has_ended(tmp_path):
    """The slow generator ends only once the cell of the quick one has begun."""
    quick, slow = Toy("quick"), Toy("slow", waits_for="cell")
    stages = [slow, quick, Toy("cell", (quick,))]
    ended = list(EXECUTORS.get("processes")(stages, partial(run, tmp_path), 2))
    assert ended.index("slow") > ended.index("quick")


@pytest.mark.parametrize("name", EVERY)
def test_of_those_that_may_run_the_first_does(name, tmp_path):
    needed = Toy("needed")
    stages = [Toy("one"), needed, Toy("two", (needed,)), Toy("three")]
    ended = list(EXECUTORS.get(name)(stages, partial(run, tmp_path), 1))
    assert ended == ["one", "needed", "two", "three"]


@pytest.mark.parametrize("name", EVERY)
def test_an_error_stops_the_study(name):
    with pytest.raises(OSError, match="no space left"):
        list(EXECUTORS.get(name)([Toy("one"), Toy("two")], fail, 2))


@pytest.mark.parametrize("name", EVERY)
def test_a_stage_that_can_never_run_is_an_error(name, tmp_path):
    with pytest.raises(ValueError, match="needed, and not among the stages"):
        list(EXECUTORS.get(name)([Toy("one", (Toy("two"),))], partial(run, tmp_path), 1))


def test_executors_are_listed_without_torch_pandas_or_a_simulation():
    code = (
        "import sys; from medgain.cli.listing import list_registered;"
        "list_registered('executors', False);"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in"
        " ('torch', 'pandas', 'scipy', 'numpy') or 'medgain.study.' in name))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *table, loaded = done.stdout.splitlines()
    assert "processes" in "".join(table)
    assert eval(loaded) == [
        *("medgain.study.executors", "medgain.study.executors.base"),
        *("medgain.study.executors.processes", "medgain.study.executors.serial"),
    ]
