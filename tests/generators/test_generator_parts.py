"""The loop's parts on their own: batches, averages, checkpoints, watching, grids, PCA."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from medgain.generators.models.dcgan import (
    DcganConfig,
    DcganModel,
    dcgan_discriminator,
    dcgan_generator,
)
from medgain.generators.models.gaussian import principal_components
from medgain.generators.training.batches import Batches, to_pixels
from medgain.generators.training.checkpoint import (
    load_tensors,
    optimiser_state,
    restore_network,
    restore_optimiser,
    save_tensors,
)
from medgain.generators.training.ema import Ema, standing_statistics
from medgain.generators.training.failures import check_weights, diversity
from medgain.generators.training.model import adam
from medgain.generators.training.progress import crossed
from medgain.generators.training.snapshots import save_grid
from medgain.runtime.errors import DataError, TrainingFailure

CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 20), share=st.floats(0.05, 1), pause=st.integers(0, 30))
def test_batches_show_every_image_equally_often_and_resume(count, share, pause):
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    size = max(1, int(share * count))

    def drawn(batches: Batches, number: int) -> list[int]:
        return [
            int(i) for _ in range(number) for i in to_pixels(batches.next(), np.dtype("u1")).flat
        ]

    stream = drawn(Batches(images, size, seeded(), CPU), 60)
    for epoch in range(len(stream) // count):
        assert sorted(stream[epoch * count : (epoch + 1) * count]) == list(range(count))
    first = Batches(images, size, seeded(), CPU)
    head = drawn(first, pause)
    state = {name: tensor.clone() for name, tensor in first.state().items()}
    second = Batches(images, size, seeded(99), CPU)
    second.restore(state)
    assert head + drawn(second, 60 - pause) == stream


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pixels_survive_the_way_there_and_back(dtype):
    values = np.linspace(0, np.iinfo(dtype).max, 1000).astype(dtype).reshape(10, 10, 10, 1)
    batch = Batches(values, 10, seeded(), CPU).at(torch.arange(10))
    assert batch.min() == -1 and batch.max() == 1
    assert np.abs(to_pixels(batch, values.dtype).astype(int) - values).max() <= (dtype != "uint8")
    beyond = to_pixels(torch.tensor([-7.0, 7.0]).view(2, 1, 1, 1), values.dtype)
    assert beyond.flatten().tolist() == [0, np.iinfo(dtype).max]


def test_ema_halves_the_past_after_a_half_life():
    live = nn.Linear(3, 1, bias=False)
    nn.init.zeros_(live.weight)
    ema = Ema({"generator": live}, halflife_kimg=1.0, rampup=1e9)
    nn.init.ones_(live.weight)
    for step in range(10):
        ema.update(100 * (step + 1), 100)
    assert ema.networks["generator"].weight == pytest.approx(0.5, abs=1e-6)
    assert not ema.networks["generator"].weight.requires_grad


def test_ema_rampup_forgets_the_start_and_zero_copies():
    live = nn.BatchNorm2d(2)
    ramped = Ema({"generator": live}, halflife_kimg=1000.0, rampup=0.05)
    copied = Ema({"generator": live}, halflife_kimg=0.0, rampup=0.05)
    with torch.no_grad():
        live.weight.fill_(5.0)
        live.running_mean.fill_(3.0)
    for ema in (ramped, copied):
        ema.update(64, 64)
        assert torch.equal(ema.networks["generator"].running_mean, live.running_mean)
    assert ramped.networks["generator"].weight == pytest.approx(5.0, abs=1e-4)
    assert torch.equal(copied.networks["generator"].weight, live.weight)


def test_standing_statistics_are_those_of_the_batches():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval()
    batches = [torch.randn(8, 1, 4, 4, generator=seeded(i)) for i in range(4)]
    standing_statistics(network, lambda: [network(batch) for batch in batches])
    with torch.no_grad():
        everything = torch.cat([network[0](batch) for batch in batches])
    assert network[1].running_mean == pytest.approx(everything.mean((0, 2, 3)), abs=1e-5)
    assert not network[1].training and network[1].momentum == 0.1


def test_checkpoints_hold_tensors_and_numbers(tmp_path):
    tensors = {"a": torch.randn(3, 4, generator=seeded()), "b/c": seeded(4).get_state()}
    about = {"loss": [0.1, 1 / 3], "step": 3}
    save_tensors(tmp_path / "x.safetensors", tensors, about)
    again, about_again = load_tensors(tmp_path / "x.safetensors")
    assert about_again == about and all(torch.equal(again[k], tensors[k]) for k in tensors)
    for content in (b"", b"not a checkpoint", b"\x80\x04\x95pickle"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(DataError, match="can't be read as a checkpoint"):
            load_tensors(tmp_path / "bad")
    with pytest.raises(DataError, match="missing|can't be read"):
        load_tensors(tmp_path / "nowhere")


def test_optimisers_go_on_bit_for_bit_with_channels_last_weights(tmp_path):
    def network() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            layers = nn.Sequential(nn.Conv2d(3, 8, 4), nn.Conv2d(8, 1, 3))
        return layers.to(memory_format=torch.channels_last)

    def train(net, optimiser, steps):
        for step in steps:
            optimiser.zero_grad()
            net(torch.randn(4, 3, 8, 8, generator=seeded(step))).square().mean().backward()
            optimiser.step()

    whole = network()
    train(whole, adam(whole, 1e-2, (0.5, 0.9)), range(6))
    first = network()
    optimiser = adam(first, 1e-2, (0.5, 0.9))
    train(first, optimiser, range(3))
    tensors, about = optimiser_state(optimiser)
    save_tensors(tmp_path / "o", tensors, about)
    second = network()
    restore_network(second, first.state_dict())
    optimiser = adam(second, 5.0, (0.5, 0.9))
    tensors, about = load_tensors(tmp_path / "o")
    restore_optimiser(optimiser, tensors, about)
    train(second, optimiser, range(3, 6))
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_diversity_tells_variety_from_collapse():
    real = torch.randn(64, 1, 16, 16, generator=seeded())
    fresh = torch.randn(64, 1, 16, 16, generator=seeded(1))
    healthy = diversity(fresh, real)
    assert not healthy.collapsed and healthy.spread == pytest.approx(1, abs=0.05)
    one = fresh[:1].repeat(64, 1, 1, 1)
    assert diversity(one, real).collapsed
    grain = one.repeat_interleave(4, 2).repeat_interleave(4, 3)
    grain = grain + 0.05 * torch.randn(grain.shape, generator=seeded(2))
    assert diversity(grain, real).collapsed, "grain is no variety"
    few = fresh[:4].repeat(16, 1, 1, 1)
    assert diversity(few, real).collapsed and diversity(few, real).spread > 0.5
    same = torch.zeros(8, 1, 16, 16)
    assert not diversity(fresh, same).collapsed, "a set without variety can't be judged by"
    assert not diversity(fresh, real[:1]).collapsed


def test_weights_that_are_not_finite_are_named():
    network = nn.Sequential(nn.Conv2d(1, 1, 1))
    check_weights("dcgan", 1.0, {"generator": network})
    network[0].weight.data.fill_(float("inf"))
    with pytest.raises(TrainingFailure, match=r"at 1\.00 kimg: generator's 0\.weight holds NaN"):
        check_weights("dcgan", 1.0, {"generator": network})


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grids_are_written_on_one_scale(tmp_path, dtype):
    images = np.zeros((5, 4, 4, 1), dtype)
    images[1] = np.iinfo(dtype).max if dtype == "uint8" else 1000
    save_grid(tmp_path / "grid.png", images, white=2000.0, columns=3)
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.mode == "L" and picture.size == (3 * 6 - 2, 2 * 6 - 2)
        assert picture.getpixel((0, 0)) == 0
        assert picture.getpixel((6, 0)) == pytest.approx(255 if dtype == "uint8" else 127.5, abs=1)


def test_crossed_multiples():
    assert crossed(0.9, 1.0, 1.0) and crossed(0.5, 2.5, 1.0)
    assert not crossed(1.0, 1.9, 1.0)


@settings(deadline=None, max_examples=25)
@given(count=st.integers(2, 12), dimensions=st.integers(1, 12), seed=st.integers(0, 99))
def test_principal_components_rebuild_the_covariance(count, dimensions, seed):
    data = np.random.default_rng(seed).normal(size=(count, dimensions))
    centred = data - data.mean(0)
    sds, components = principal_components(centred, 100)
    assert len(sds) == min(count - 1, dimensions)
    assert np.all(np.diff(sds) <= 1e-9)
    assert components @ components.T == pytest.approx(np.eye(len(sds)), abs=1e-6)
    rebuilt = (components.T * sds**2) @ components
    assert rebuilt == pytest.approx(np.cov(data.T).reshape(dimensions, dimensions), abs=1e-8)


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_dcgan_networks_at_every_size(size, channels):
    generator = dcgan_generator(size, channels, 2, 5)
    discriminator = dcgan_discriminator(size, channels, 2)
    images = generator(torch.randn(2, 5, 1, 1, generator=seeded()))
    assert images.shape == (2, channels, size, size) and images.abs().max() <= 1
    assert discriminator(images).shape == (2, 1, 1, 1)


def test_dcgan_at_64_px_is_the_papers_network():
    """Widths 512, 256, 128, 64 as in the published code: 3.5 and 2.8 million weights."""
    model = DcganModel(64, 3, DcganConfig())
    count = {n: sum(p.numel() for p in net.parameters()) for n, net in model.networks.items()}
    assert count == {"generator": 3_576_704, "discriminator": 2_765_568}
    weight = model.networks["generator"][0].weight
    assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert model.config.betas == (0.5, 0.999) and model.config.lr == 2e-4
    norms = [m for m in model.networks["discriminator"] if isinstance(m, nn.BatchNorm2d)]
    assert [m.num_features for m in norms] == [128, 256, 512]
