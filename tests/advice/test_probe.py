"""What the probe measures, and what cost makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from advice_sets import make_set, patients
from medgain import ImageSet
from medgain.advice.advice import advise
from medgain.advice.checked_study import make_study, try_plan
from medgain.advice.cost import count_cost, estimate_cost
from medgain.advice.facts import find_facts
from medgain.advice.lines import advice_lines
from medgain.advice.planning import smaller_studies, suggest_study
from medgain.advice.probe.assessment import AssessmentRate
from medgain.advice.probe.clock import Clock
from medgain.advice.probe.generator import GeneratorRate
from medgain.advice.probe.machine import this_machine
from medgain.advice.probe.run import Probe, run_probe
from medgain.advice.probe.task import TaskRate
from medgain.runtime.text import rough_duration

RATES = Probe(
    task=TaskRate(step=0.1, begin=0.0, predict=0.0, score=0.0, steps=10, rough=False),
    generators={"dcgan": GeneratorRate(0.001, 0.0, 0.0, 0.0, 100, False)},
    assessments={"dcgan": AssessmentRate(3.0, 0.0, 0.0)},
    open_seconds=0.0,
    start_seconds=0.0,
    processes=1,
    busy=2.0,
    wall_seconds=1.0,
    failed={},
)


def images(count: int = 400) -> ImageSet:
    labels = ["ill" if number // 2 % 3 == 0 else "well" for number in range(count)]
    splits = ["test" if number // 2 % 5 == 4 else "train" for number in range(count)]
    return make_set(labels, groups=patients(count), splits=splits, positive="ill")


@pytest.fixture
def checked(tmp_path):
    images().save(tmp_path / "set")
    facts = find_facts(ImageSet.open(tmp_path / "set"))
    largest = suggest_study(facts, this_machine("cpu"), str(tmp_path / "set"))
    return try_plan(largest, tmp_path / "study", "cpu")


@pytest.fixture
def test_part_is_not_read(monkeypatch):
    """Fail where pixels or masks of the test part are taken."""
    whole = ImageSet.take

    def take(self, indices, step=None):
        taken = whole(self, indices, step)
        assert not (taken.splits == "test").any(), "the probe was given test images"
        return taken

    monkeypatch.setattr(ImageSet, "take", take)


def test_a_probe_measures_everything_that_a_study_does_on_the_training_part(
    checked, test_part_is_not_read
):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    probe = run_probe(checked.folder.path, 0.5, workers=1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert probe.processes == 1 and probe.failed == {} and probe.busy >= 1
    assert 0 < probe.task.step < 60 and probe.task.predict > 0 and probe.task.steps >= 2
    rate = probe.generators["dcgan"]
    assert rate.image > 0 and rate.images > 0 and rate.begin >= 0 and rate.look >= 0
    assessed = probe.assessments["dcgan"].seconds(100)
    assert 0 < assessed < 600
    plan = checked.study.plan
    cost = estimate_cost(plan, checked.prepared, checked.stages(), probe, workers=1)
    each = cost.seconds_each
    assert all(seconds > 0 for seconds in each.values())
    assert cost.seconds == pytest.approx(
        sum(count * each[title] for title, count in cost.stages.items())
    )
    assert cost.now_seconds >= cost.seconds


def test_masks_are_probed_too_on_training_pairs(tmp_path, test_part_is_not_read):
    splits = ["test" if number // 2 % 5 == 4 else "train" for number in range(100)]
    pairs = make_set(
        None, count=100, masks=True, groups=patients(100), splits=splits, size=(64, 64)
    )
    pairs.save(tmp_path / "set")
    facts = find_facts(ImageSet.open(tmp_path / "set"))
    largest = suggest_study(facts, this_machine("cpu"), str(tmp_path / "set"))
    checked = try_plan(replace(largest, kimg=0.1), tmp_path / "study", "cpu")
    probe = run_probe(checked.folder.path, 0.1, workers=1)
    assert set(probe.generators) == {"pix2pix"} and probe.task.score > 0
    cost = estimate_cost(checked.study.plan, checked.prepared, checked.stages(), probe, workers=2)
    # a segmenter judges the pairs, trained as long as a cell's
    steps = probe.task.step * checked.study.plan.make_task().config.steps
    assert cost.seconds_each["assessments"] > steps


def test_as_many_processes_measure_side_by_side_as_would_work(checked):
    probe = run_probe(checked.folder.path, 0.1, workers=2)
    assert probe.processes == 2 and probe.start_seconds > 0 and probe.failed == {}
    assert probe.task.step > 0 and set(probe.generators) == {"dcgan"}
    cost = estimate_cost(checked.study.plan, checked.prepared, checked.stages(), probe, workers=2)
    assert cost.seconds >= len(cost.stages) * probe.start_seconds / probe.busy


def test_stages_are_the_plan_s_and_time_is_shared_by_workers(checked):
    plan, stages = checked.study.plan, checked.stages()
    one = estimate_cost(plan, checked.prepared, stages, RATES, workers=1)
    two = estimate_cost(plan, checked.prepared, stages, RATES, workers=2)
    assert one.stages == count_cost(stages, 1).stages == two.stages
    assert one.seconds_each["cells"] == pytest.approx(0.1 * 600)
    kimg = checked.suggestion.kimg
    assert one.seconds_each["generators"] == pytest.approx(kimg)
    assert one.seconds_each["assessments"] == pytest.approx(3.0)
    assert two.seconds == pytest.approx(one.seconds / 2, rel=0.05)
    assert two.now_seconds == pytest.approx(2 * two.seconds)


def test_a_study_is_made_smaller_until_it_fits(tmp_path, monkeypatch):
    images().save(tmp_path / "set")
    monkeypatch.setattr("medgain.advice.advice.run_probe", lambda *given: RATES)
    ask = {"device": "cpu", "workers": 2}
    largest = advise(tmp_path / "set", hours=1000, **ask)
    assert largest.fits and largest.suggestion.repeats == 10 and largest.suggestion.cut == ()
    hours = 0.6 * largest.cost.seconds / 3600
    smaller = advise(tmp_path / "set", hours=hours, **ask)
    assert smaller.fits and smaller.suggestion.repeats == 5
    assert smaller.cost.seconds <= 3600 * hours < largest.cost.seconds
    assert any("5 seeds in place of 10" in line for line in advice_lines(smaller, 80))
    never = advise(tmp_path / "set", hours=0.001, **ask)
    assert never.fits is False
    assert never.suggestion.kimg < largest.suggestion.kimg
    assert any("more than 0.001 h even so" in line for line in advice_lines(never, 80))


def test_smaller_studies_cost_less_and_less_and_all_of_them_load(checked):
    sizes = list(smaller_studies(checked.suggestion))
    seconds = [
        estimate_cost(
            make_study(size, checked.study).plan, checked.prepared, checked.stages(size), RATES, 1
        ).seconds
        for size in sizes
    ]
    assert seconds == sorted(seconds, reverse=True) and len(sizes) >= 4


def test_a_generator_that_cannot_be_measured_is_named(checked, monkeypatch):
    from medgain.runtime.errors import TrainingFailure

    def fails(*given):
        raise TrainingFailure("it diverged")

    monkeypatch.setattr("medgain.advice.probe.run.measure_generator", fails)
    probe = run_probe(checked.folder.path, 0.1, workers=1)
    assert probe.failed == {"dcgan": "it diverged"} and probe.generators == {}
    cost = estimate_cost(checked.study.plan, checked.prepared, checked.stages(), probe, workers=1)
    assert cost.seconds > 0 and np.isfinite(cost.seconds)


def test_the_clock_takes_the_processor_s_time_where_that_counts():
    by_wall, by_processor = Clock(False), Clock(True)

    def sleep() -> str:
        import time

        time.sleep(0.05)
        return "slept"

    seconds, result = by_wall.seconds(sleep)
    assert result == "slept" and seconds >= 0.05 and by_wall.busy == 1.0
    seconds, _ = by_processor.seconds(sleep)
    assert seconds < 0.04 and by_processor.busy > 1.0
    assert by_processor.allows(by_processor.spent, 0.001, 10.0)
    assert not by_processor.allows(by_processor.spent, 20.0, 10.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0\u202fs"),
        (40, "40\u202fs"),
        (600, "10\u202fmin"),
        (5400, "1\u202fh 30\u202fmin"),
        (7200, "2\u202fh"),
        (400_000, "5\u202fdays"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert rough_duration(seconds) == text
