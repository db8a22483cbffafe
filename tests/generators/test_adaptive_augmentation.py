"""ADA: how the chance of augmentation follows the discriminator, and is put down and resumed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from medgain.augment.policy import resolve_policy
from medgain.generators.base import Budget, FitContext
from medgain.generators.models.dcgan import DcganConfig, DcganModel
from medgain.generators.training.adaptive import Ada, DiscriminatorPolicy
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.loop import GeneratorTrainer
from medgain.generators.training.model import fresh_weights
from medgain.runtime.errors import ConfigError

CPU = torch.device("cpu")


def scores(sign: float, count: int = 10) -> list[torch.Tensor]:
    """Return logits whose mean sign is `sign`."""
    positive = round(count * (1 + sign) / 2)
    return [torch.tensor([2.5] * positive + [-0.1] * (count - positive))]


def test_the_chance_goes_up_in_strides_and_stays_between_0_and_1():
    ada = Ada(target=0.6, kimg_per_unit=0.5, device=CPU)
    for step in range(1, 5):
        assert ada.probability == 0
        ada.after_step(scores(1.0), step, batch_size=10)
    assert ada.probability == pytest.approx(40 / 500)
    assert ada.sign == 1.0
    for step in range(5, 101):
        ada.after_step(scores(1.0), step, batch_size=10)
    assert ada.probability == 1.0, "500 images take it from 0 to 1, and it stays there"
    for step in range(101, 105):
        ada.after_step(scores(0.2), step, batch_size=10)
    assert ada.probability == pytest.approx(1 - 40 / 500)
    low = Ada(target=0.6, kimg_per_unit=0.5, device=CPU)
    for step in range(1, 9):
        low.after_step(scores(-1.0), step, batch_size=10)
    assert low.probability == 0
    for step in range(9, 13):
        low.after_step(scores(0.6), step, batch_size=10)
    assert low.probability == 0, "at the target nothing changes"


def test_its_state_goes_on():
    def train(ada: Ada, steps: range) -> None:
        for step in steps:
            ada.after_step(scores(1.0 if step % 3 else -1.0), step, batch_size=8)

    whole, first, second = (Ada(0.3, 0.4, CPU) for _ in range(3))
    train(whole, range(1, 30))
    train(first, range(1, 11))
    second.restore(first.state())
    second.sums = first.sums.clone()
    train(second, range(11, 30))
    assert whole.state() == second.state() and torch.equal(whole.sums, second.sums)
    assert 0 < whole.probability < 1


def test_the_policy_is_applied_as_often_as_the_chance_says():
    images = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def changed(chance: float | None) -> float:
        random = torch.Generator().manual_seed(1)
        augment = DiscriminatorPolicy(resolve_policy({"brightness": 0.2, "clip": False}), random)
        augment.set_probability(chance)
        return float((augment.images(images) != images).flatten(1).any(1).float().mean())

    assert changed(0.0) == 0 and changed(1.0) == 1 and changed(None) == 1
    assert changed(0.25) == pytest.approx(0.25, abs=0.07)
    assert DiscriminatorPolicy(None, torch.Generator()).images(images) is images


CONFIG = DcganConfig(
    width=4, batch_size=8, ada_target=0.1, ada_kimg=1.0, grid_kimg=9, checkpoint_kimg=9
)


def run(real, config=CONFIG, kimg=0.4, folder=None, model=None) -> GeneratorTrainer:
    context = FitContext(seed=0, quiet=True, folder=folder)
    with fresh_weights(0):
        model = model or DcganModel(16, 1, config)
    data = TrainingImages(real.images)
    return GeneratorTrainer(
        model, data, config, Budget(kimg=kimg), context, identity={}, title="dcgan"
    )


def test_a_run_adapts_and_resumes(make_set, tmp_path):
    whole = run(make_set(20), folder=tmp_path / "whole")
    whole.run()
    assert whole.ada is not None and 0 < whole.ada.probability < 1
    run(make_set(20), folder=tmp_path / "pieces", kimg=0.21).run()
    pieces = run(make_set(20), folder=tmp_path / "pieces")
    pieces.run()
    assert pieces.ada is not None and pieces.ada.state() == whole.ada.state()
    for one, other in zip(
        whole.ema.networks["generator"].parameters(),
        pieces.ema.networks["generator"].parameters(),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_model_that_tells_no_scores_is_refused(make_set):
    model = DcganModel(16, 1, CONFIG)
    updates = model.updates()

    def silent(step):
        return updates[0].losses(dataclasses.replace(step, real_scores=[]))

    model.updates = lambda: [dataclasses.replace(updates[0], losses=silent)]
    with pytest.raises(ConfigError, match="does not tell ADA"):
        run(make_set(20), model=model).run()


def test_a_schedule_sets_the_chance_without_ada(make_set):
    config = CONFIG.model_copy(update={"ada_target": None})
    model = DcganModel(16, 1, config)
    model.augment_probability = lambda done: 0.3 * done
    trainer = run(make_set(20), config, kimg=0.16, model=model)
    chances = []
    step = trainer._step
    trainer._step = lambda: (step(), chances.append(trainer.draws.augment._probability))
    trainer.run()
    assert chances == pytest.approx([0.3 * i / 20 for i in range(20)])
