"""Classes, a second stream of images, and batches done in parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generators.toys import ToyConfig, ToyModel, TranslatorModel
from medgain.generators.base import Budget, FitContext
from medgain.generators.models.dcgan import Dcgan, DcganConfig
from medgain.generators.training.accumulation import largest_part, memory_limit_bytes, parts
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.loop import GeneratorTrainer
from medgain.generators.training.model import fresh_weights
from medgain.generators.training.step import Step
from medgain.runtime.errors import ConfigError

CPU = torch.device("cpu")


def trainer(real, *, kimg=0.2, folder=None, model=None, data=None, **settings) -> GeneratorTrainer:
    config = ToyConfig(**{"batch_size": 12, "grid_kimg": 0.1, "checkpoint_kimg": 0.1, **settings})
    if data is None:
        codes = (real.records["label"] == "ill").to_numpy().astype(np.int64)
        data = TrainingImages(real.images, labels=codes)
    with fresh_weights(0):
        model = model or ToyModel(16, 1, 2)
    context = FitContext(seed=0, quiet=True, folder=folder, precision="fp32")
    return GeneratorTrainer(
        model, data, config, Budget(kimg=kimg), context, identity={}, title="toy"
    )


@pytest.fixture
def two_classes(make_set):
    return make_set(24, labels=["normal", "ill", "ill"] * 8)


def weights(run: GeneratorTrainer) -> list[torch.Tensor]:
    return [p.detach() for net in run.model.networks.values() for p in net.parameters()]


def test_labels_belong_to_their_images(two_classes):
    run = trainer(two_classes)
    step = run.draws.step(0, 0, 0.0)
    pixels = ((step.real.permute(0, 2, 3, 1).double() + 1) * 127.5).round().byte().numpy()
    known = {
        image.tobytes(): label
        for image, label in zip(
            np.asarray(two_classes.images), two_classes.records["label"], strict=True
        )
    }
    names = [("normal", "ill")[code] for code in step.labels.tolist()]
    assert [known[image.tobytes()] for image in pixels] == names
    assert step.drawn_labels.shape == (12,) and set(step.drawn_labels.tolist()) == {0, 1}
    assert step.other is None and step.masks is None


def test_parts_make_up_the_whole(two_classes):
    step = trainer(two_classes).draws.step(0, 0, 0.0)
    assert parts(step, None) == [step] and parts(step, 12)[0] is step
    for micro_batch in (1, 5, 7, 11):
        pieces = parts(step, micro_batch)
        sizes = [len(piece.real) for piece in pieces]
        assert len(sizes) == -(-12 // micro_batch) and max(sizes) - min(sizes) <= 1
        assert max(sizes) <= micro_batch
        for name in ("real", "latents", "labels", "drawn_labels"):
            assert torch.equal(torch.cat([getattr(p, name) for p in pieces]), getattr(step, name))
        assert all(piece.split and piece.memo is not step.memo for piece in pieces)


@pytest.mark.parametrize("micro_batch", [1, 5, 6])
def test_gradients_of_parts_add_up_to_those_of_the_batch(two_classes, micro_batch):
    """All updates; LeCam's running averages are left out: they follow the parts."""
    found = []
    for size in (None, micro_batch):
        run = trainer(two_classes)
        steps = parts(run.draws.step(0, 0, 0.0), size)
        gradients, losses = [], {}
        for update in run.model.updates():
            losses |= run._add_gradients(update, steps)
            run.model.memory.clear()
        for network in run.model.networks.values():
            gradients += [p.grad.flatten() for p in network.parameters()]
        found.append((torch.cat(gradients), {n: float(losses[n]) for n in ("r1", "generator")}))
    # the discriminator's own gradient holds LeCam's, whose averages differ a little
    generator = slice(0, sum(p.numel() for p in run.model.networks["generator"].parameters()))
    assert torch.allclose(found[0][0][generator], found[1][0][generator], rtol=1e-4, atol=1e-7)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)


def test_training_in_parts_gives_nearly_the_weights_of_whole_batches(two_classes, monkeypatch):
    monkeypatch.setattr("generators.toys.lecam_penalty", lambda *_: 0.0)
    whole, split = trainer(two_classes), trainer(two_classes, micro_batch=5)
    for run in (whole, split):
        run.run()
    assert split.state.micro_batch == 5 and whole.state.micro_batch is None
    for one, other in zip(weights(whole), weights(split), strict=True):
        assert torch.allclose(one, other, rtol=1e-2, atol=1e-4)
    assert whole.counters.history["discriminator"] == pytest.approx(
        split.counters.history["discriminator"], rel=1e-3
    )


def test_dcgan_trains_in_parts(make_set):
    generator = Dcgan(DcganConfig(width=4, batch_size=12, micro_batch=5))
    report = generator.fit(make_set(24), Budget(kimg=0.1), FitContext(seed=0, quiet=True))
    assert report.steps == 9 and report.images_seen == 108


def test_a_phase_that_is_not_due_makes_no_graph_for_it(two_classes):
    run = trainer(two_classes)
    graphs = []
    made = run.model._made
    run.model._made = lambda step: graphs.append(torch.is_grad_enabled()) or made(step)
    for _ in range(4):
        run._step()
    assert graphs == [True, False, True, False], "the generator steps every other time"
    graphs.clear()
    run.state.micro_batch = 6
    run._step()
    assert graphs == [False, False, True, True], "parts keep no graph for the later update"


def test_what_outlasts_a_step_is_resumed(two_classes, tmp_path):
    whole = trainer(two_classes, folder=tmp_path / "whole", kimg=0.3, micro_batch=7)
    history = whole.run().history
    trainer(two_classes, folder=tmp_path / "pieces", kimg=0.13, micro_batch=7).run()
    pieces = trainer(two_classes, folder=tmp_path / "pieces", kimg=0.3, micro_batch=7)
    assert pieces.run().history == history
    assert whole.model.memory.keys() == {"lecam_real", "lecam_synthetic"}
    for name, tensor in whole.model.memory.items():
        assert torch.equal(pieces.model.memory[name], tensor)
    for one, other in zip(weights(whole), weights(pieces), strict=True):
        assert torch.equal(one, other)


def translator(make_set, kimg=0.06, folder=None):
    model, targets, sources = TranslatorModel(), make_set(20), make_set(7, seed=5)
    data = TrainingImages(targets.images, other=sources.images, other_labels=np.arange(7))
    with fresh_weights(0):
        model.__init__()
    run = trainer(targets, model=model, data=data, kimg=kimg, folder=folder)
    return run, sources


def test_a_second_stream_is_drawn_beside_the_first(make_set):
    run, sources = translator(make_set)
    run.run()
    step = run.model.seen[0]
    assert step.real.shape == step.other.shape == (12, 1, 16, 16)
    stored = run.draws.streams.other.at(step.other_labels)
    assert torch.equal(stored, step.other), "labels are those of the other images"
    seen = torch.cat([s.other_labels for s in run.model.seen])
    assert torch.bincount(seen).min() >= len(seen) // 7, "a smaller stream repeats evenly"
    assert len(sources) == 7


def test_a_second_stream_is_resumed(make_set, tmp_path):
    whole, _ = translator(make_set, 0.12, tmp_path / "whole")
    whole.run()
    translator(make_set, 0.048, tmp_path / "pieces")[0].run()
    pieces, _ = translator(make_set, 0.12, tmp_path / "pieces")
    pieces.run()
    for one, other in zip(weights(whole), weights(pieces), strict=True):
        assert torch.equal(one, other)
    assert (tmp_path / "whole" / "samples").is_dir()
    assert not (tmp_path / "whole" / "samples" / "interpolation.png").exists()


def test_both_streams_share_one_white(make_set):
    dark, bright = make_set(8, dtype="uint16"), make_set(8, dtype="uint16", seed=1)
    dim = (dark.images // 16).astype(np.uint16)
    data = TrainingImages(dim, other=bright.images)
    assert data.white == bright.images.max()
    assert TrainingImages(make_set(4).images).white is None


def test_auto_finds_the_largest_part_below_the_limit():
    def found(per_image: float, base: float, limit: float, batch: int = 64) -> int:
        tried = []
        import medgain.generators.training.accumulation as accumulation

        held = {"now": base}
        old = accumulation._used_bytes, accumulation._peak_bytes
        accumulation._used_bytes = lambda device: base
        accumulation._peak_bytes = lambda work, device: (work(), held["now"])[1]

        def trial(count: int) -> None:
            tried.append(count)
            held["now"] = base + per_image * count

        try:
            size, peak = largest_part(batch, limit, trial, CPU)
        finally:
            accumulation._used_bytes, accumulation._peak_bytes = old
        assert peak <= limit and max(tried) == size, "nothing larger was ever tried"
        return size

    assert found(1.0, 10.0, 1000.0) == 64
    assert found(1.0, 10.0, 43.0) == 32
    assert found(1.0, 10.0, 25.9) == 8
    assert found(1.0, 10.0, 1000.0, batch=50) == 50
    with pytest.raises(ConfigError, match="2 images at once need"):
        found(10.0, 10.0, 20.0)


def test_a_trial_leaves_no_trace(make_set, tmp_path):
    """Batch norm, random streams, order of images, memory: as if nothing had been tried."""
    plain = trainer(make_set(24, labels=["normal", "ill"] * 12), folder=tmp_path / "plain")
    tried = trainer(
        make_set(24, labels=["normal", "ill"] * 12), folder=tmp_path / "tried", micro_batch="auto"
    )
    assert tried.run().notes[0].startswith("micro_batch auto: 12 of 12 images at once (about")
    plain.run()
    assert tried.state.micro_batch == 12
    for one, other in zip(weights(plain), weights(tried), strict=True):
        assert torch.equal(one, other)
    again = trainer(
        make_set(24, labels=["normal", "ill"] * 12), folder=tmp_path / "tried", micro_batch="auto"
    )
    assert list(again.run().notes) == tried.state.notes, "a resumed run keeps what was found"


def test_auto_with_batch_norm_leaves_the_statistics(make_set):
    def fit(**settings) -> Dcgan:
        generator = Dcgan(DcganConfig(width=4, batch_size=8, **settings))
        generator.fit(make_set(20), Budget(kimg=0.05), FitContext(seed=0, quiet=True))
        return generator

    plain, tried = fit(), fit(micro_batch="auto")
    assert np.array_equal(plain.sample(5, seed=0).images, tried.sample(5, seed=0).images)


def test_a_limit_that_nothing_fits_is_an_error(two_classes):
    run = trainer(two_classes, micro_batch="auto", memory_limit_gb=0.001)
    with pytest.raises(ConfigError, match=r"images at once need .* GiB, and the limit is 0\.0"):
        run.run()
    with pytest.raises(ValueError, match="at least 1"):
        ToyConfig(micro_batch=0)
    with pytest.raises(ValueError, match="micro_batch"):
        ToyConfig(micro_batch="most")


def test_the_default_limit_is_most_of_what_is_free():
    limit = memory_limit_bytes(None, CPU)
    assert 2**20 < limit < 2**46
    assert memory_limit_bytes(1.5, CPU) == 1.5 * 2**30


def test_steps_know_their_place(two_classes):
    run = trainer(two_classes, kimg=0.12)
    seen: list[Step] = []
    losses = run.model._discriminator_losses
    run.updates[0] = type(run.updates[0])("discriminator", lambda s: (seen.append(s), losses(s))[1])
    run.run()
    assert [step.number for step in seen] == list(range(10))
    assert [step.done for step in seen] == pytest.approx([i / 10 for i in range(10)])
    assert seen[0].due == {"discriminator", "generator"} and seen[1].due == {"discriminator"}
    assert seen[0].random is run.draws.random["losses"]
