"""Learning rates, losses and the choice of the best weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from medgain.tasks.classification.config import ClassificationConfig, Schedule
from medgain.tasks.classification.objective import classification_loss
from medgain.tasks.training.loop import Selection
from medgain.tasks.training.optimisation import LearningRate, make_optimiser
from medgain.tasks.training.phases import TrainingPhase


def rates(steps=100, observe=(), **schedule):
    phase = TrainingPhase("all", "train", 0, steps, None, 0.5, 0, steps)
    rate = LearningRate(Schedule.model_validate(schedule), phase)
    for loss in observe:
        rate.observe(loss)
    return np.array([rate.at(step) for step in range(steps)])


def test_warmup_rises_and_cosine_falls():
    curve = rates(kind="cosine", warmup_steps=10)
    assert (np.diff(curve[:11]) > 0).all()
    assert (np.diff(curve[11:]) < 0).all()
    assert curve.max() == pytest.approx(0.5)
    assert 0 < curve[-1] < 0.001
    assert rates(kind="cosine", final=0.2)[-1] == pytest.approx(0.1, rel=0.01)


def test_warmup_takes_at_most_half_of_a_short_phase():
    assert rates(steps=4, kind="constant", warmup_steps=30).argmax() == 2
    assert rates(steps=1, kind="cosine", warmup_steps=30).tolist() == [0.5]


def test_steps_fall_at_their_shares():
    curve = rates(kind="step", warmup_steps=0, at=[0.5, 0.75], factor=0.1)
    np.testing.assert_allclose(curve[[0, 49, 50, 74, 75, 99]], [0.5, 0.5, 0.05, 0.05, 0.005, 0.005])


def test_plateau_waits_for_its_patience():
    options = {"kind": "plateau", "warmup_steps": 0, "patience_evaluations": 2, "factor": 0.5}
    assert rates(observe=[1.0, 0.9, 0.9], **options)[0] == 0.5
    assert rates(observe=[1.0, 0.9, 0.9, 0.9], **options)[0] == 0.25
    assert rates(observe=[1.0, 1.0, 1.0, 1.0, 1.0], **options)[0] == 0.125
    assert (rates(observe=[1.0, 2.0, 3.0], **{**options, "kind": "constant"}) == 0.5).all()


def test_losses_equal_their_formulas():
    rng = torch.Generator().manual_seed(0)
    logits, truth = torch.randn(8, 3, generator=rng), torch.arange(8) % 3
    weights = torch.tensor([1.0, 2.0, 5.0])
    plain = classification_loss(logits, truth, ClassificationConfig(), weights)
    assert plain == functional.cross_entropy(logits, truth, weights)
    chance = logits.softmax(1)[torch.arange(8), truth]
    each = -((1 - chance) ** 2) * chance.log()
    focal = ClassificationConfig(loss="focal")
    got = classification_loss(logits, truth, focal, None)
    torch.testing.assert_close(got, each.mean())
    got = classification_loss(logits, truth, focal, weights)
    torch.testing.assert_close(got, (weights[truth] * each).sum() / weights[truth].sum())


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_norms_and_biases_do_not_decay(optimiser):
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    model[0].weight.requires_grad_(True)
    config = ClassificationConfig(optimiser=optimiser, weight_decay=0.1)
    decays = {
        id(parameter): group["weight_decay"]
        for group in make_optimiser(model, config).param_groups
        for parameter in group["params"]
    }
    assert decays[id(model[0].weight)] == 0.1
    assert {decays[id(p)] for p in (model[0].bias, model[1].weight, model[1].bias)} == {0.0}


def test_selection_breaks_ties_by_the_loss_and_counts_waiting():
    selection = Selection("auroc", patience=2)
    seen = [(0.8, 0.5), (0.8, 0.4), (0.7, 0.1), (0.9, 0.6), (0.9, 0.7), (0.9, 0.6)]
    got = [selection.improves({"auroc": a, "loss": loss}) for a, loss in seen]
    assert got == [True, True, False, True, False, False]
    assert selection.stops


def test_selection_falls_back_to_the_loss():
    nan = float("nan")
    selection = Selection("auroc")
    got = [selection.improves({"auroc": nan, "loss": loss}) for loss in (0.5, 0.6, 0.4)]
    assert got == [True, False, True]
    assert not selection.stops
