"""pix2pix: its networks and losses, the masks it draws, and that images follow their masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from medgain.augment.policy import resolve_policy
from medgain.generators.base import Budget, FitContext
from medgain.generators.kinds.masks.sources import DeformedMasks, GeneratedMasks
from medgain.generators.kinds.per_class import PerClass
from medgain.generators.layers.convolutions import patch_discriminator
from medgain.generators.models.pix2pix.model import Pix2pix, Pix2pixConfig, Pix2pixModel
from medgain.generators.models.pix2pix.networks import UNet
from medgain.generators.run import load_generator
from medgain.generators.training.batches import TrainingImages
from medgain.generators.training.checkpoint import load_tensors
from medgain.generators.training.loop import CHECKPOINT, GeneratorTrainer
from medgain.generators.training.step import Step
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.seeds import SeedTree

SMALL = {"width": 2, "batch_size": 2, "checkpoint_kimg": 0.02, "grid_kimg": 0.02}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def real(make_set) -> ImageSet:
    return make_set(12, size=64, masks=True)


def fit(real: ImageSet, kimg: float, folder=None, seed: int = 3, **settings) -> Pix2pix:
    generator = Pix2pix(Pix2pixConfig(**{**SMALL, **settings}))
    generator.report = generator.fit(
        real, Budget(kimg=kimg), FitContext(seed=seed, folder=folder, quiet=True)
    )
    return generator


@pytest.fixture(scope="module")
def fitted(real) -> Pix2pix:
    return fit(real, 0.02)


def test_the_networks_at_the_papers_width_are_the_papers():
    """54.4 and 2.8 million weights at 256 px and width 64, as in the published code."""
    unet = UNet(256, 3, 3, 64, dropout=0.5)
    convolutions = [m for m in unet.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    count = sum(m.weight.numel() for m in convolutions)
    assert count == pytest.approx(54.4e6, rel=0.005)
    assert [m.out_channels for m in convolutions[:8]] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert unet.noisy == [(512, 2), (512, 4), (512, 8)]
    patches = patch_discriminator(6, 64, halvings=3)
    assert sum(p.numel() for p in patches.parameters()) == pytest.approx(2.77e6, rel=0.01)


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_the_unet_goes_down_to_one_pixel_at_every_size(size):
    unet = UNet(size, 3, 1, 1, dropout=0.5)
    assert len(unet.down) == len(unet.up) == size.bit_length() - 1
    with torch.no_grad():
        images = unet(torch.zeros(1, 3, size, size), torch.rand(1, unet.noise_size))
    assert images.shape == (1, 1, size, size) and images.abs().max() <= 1


@pytest.mark.parametrize(("halvings", "sees"), [(3, 70), (2, 34)])
def test_a_logit_sees_its_patch_and_no_more(halvings, sees):
    network = patch_discriminator(1, 4, halvings)
    for layer in network:  # a norm sees the whole image, by its mean and spread
        if isinstance(layer, nn.GroupNorm):
            layer.forward = lambda x: x
    image = torch.zeros(1, 1, 128, 128, requires_grad=True)
    logits = network(image)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    rows = image.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == sees


def test_dropout_is_driven_by_the_given_numbers():
    unet = UNet(64, 2, 1, 4, dropout=0.5).eval()
    condition = torch.randn(2, 2, 64, 64, generator=seeded())
    one, other = (torch.rand(2, unet.noise_size, generator=seeded(s)) for s in (1, 2))
    with torch.no_grad():
        assert torch.equal(unet(condition, one), unet(condition, one))
        assert not torch.equal(unet(condition, one), unet(condition, other))
        unet.dropout = 0.0
        assert torch.equal(unet(condition, one), unet(condition, other))


def test_the_condition_is_one_plane_per_code(real):
    model = Pix2pixModel(64, 1, 3, Pix2pixConfig(width=1))
    planes = model._condition(torch.from_numpy(real.masks[:2]).long())
    assert planes.shape == (2, 3, 64, 64) and planes.dtype == torch.float32
    assert planes.unique().tolist() == [-1, 1]
    assert torch.equal(planes.argmax(1), torch.from_numpy(real.masks[:2]).long())


def test_losses_are_the_papers(real):
    model = Pix2pixModel(64, 1, 3, Pix2pixConfig(width=2, l1_weight=7.0))
    images = torch.from_numpy(real.images[:2]).permute(0, 3, 1, 2).float() / 127.5 - 1
    masks = torch.from_numpy(real.masks[:2]).long()
    step = Step(images, model.draw_latents(2, seeded()), lambda x: x, 0, masks)
    discriminator, generator = model.updates()
    found = discriminator.losses(step) | generator.losses(step)
    planes = model._condition(masks)
    logits = {
        name: model.networks["discriminator"](torch.cat([planes, shown], 1))
        for name, shown in (("real", images), ("synthetic", step.memo["synthetic"]))
    }
    right, wrong = (-torch.log(torch.sigmoid(logits["real"])), logits["synthetic"].sigmoid())
    expected = 0.5 * (right.mean() - torch.log(1 - wrong).mean())
    assert found["discriminator"].item() == pytest.approx(expected.item(), rel=1e-4)
    distance = (step.memo["synthetic"] - images).abs().mean()
    assert found["l1"].item() == pytest.approx(distance.item(), rel=1e-5)
    assert found["total"].item() == pytest.approx(
        -torch.log(wrong).mean().item() + 7 * distance.item(), rel=1e-4
    )


def test_the_discriminator_sees_image_and_mask_moved_alike(make_set):
    """DiffAugment for pairs: where the image is shifted, so is the condition."""
    real = make_set(8, size=64, masks=True)
    config = Pix2pixConfig(width=1, discriminator_augment="diffaugment", jitter=None)
    context = FitContext(seed=0, quiet=True)
    model = Pix2pixModel(64, 1, 3, config)
    data = TrainingImages(real.images, masks=real.masks)
    run = GeneratorTrainer(model, data, config, Budget(), context, identity={}, title="")
    masks = torch.from_numpy(real.masks).long()
    images = (masks > 0).float()[:, None] * 2 - 1
    moved, with_masks = run.draws.augment.pairs(images, masks)
    assert not torch.equal(with_masks, masks)
    for image, mask in zip(moved, with_masks, strict=True):
        inside, outside = image[0][mask > 0], image[0][mask == 0]
        assert inside.std() < 1e-3 and inside.mean() > outside.mean()


def test_jitter_moves_image_and_mask_alike_and_only_training_pairs(real):
    config = Pix2pixConfig(width=1, batch_size=8)
    context = FitContext(seed=0, quiet=True)
    model = Pix2pixModel(64, 1, 3, config)
    shown = (real.masks > 0).astype(np.uint8)[..., None] * 255
    data = TrainingImages(shown, masks=real.masks)
    run = GeneratorTrainer(model, data, config, Budget(), context, identity={}, title="")
    seen = []
    model.networks["generator"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    steps = []
    losses = run.updates[0].losses
    object.__setattr__(run.updates[0], "losses", lambda step: steps.append(step) or losses(step))
    run._step()
    (step,) = steps
    inside = step.masks > 0
    assert step.real[:, 0][inside].mean() > 0.95 and step.real[:, 0][~inside].mean() < -0.95
    assert torch.equal(seen[0].argmax(1), step.masks)
    originals = {mask.tobytes() for mask in real.masks}
    assert not all(mask.numpy().astype(np.uint8).tobytes() in originals for mask in step.masks)


def test_learning_rates_fall_over_the_second_half(real):
    config = Pix2pixConfig(**SMALL, lr=1e-3)
    model = Pix2pixModel(64, 1, 3, config)
    context = FitContext(seed=0, quiet=True)
    data = TrainingImages(real.images, masks=real.masks)
    run = GeneratorTrainer(model, data, config, Budget(kimg=0.02), context, identity={}, title="")
    rates = []
    optimiser = run.optimisers["generator"]
    step = optimiser.step
    optimiser.step = lambda: rates.append(optimiser.param_groups[0]["lr"]) or step()
    run.run()
    assert rates == pytest.approx([1e-3] * 6 + [8e-4, 6e-4, 4e-4, 2e-4])
    assert Pix2pixModel(64, 1, 3, Pix2pixConfig(width=1, lr_decay_from=1.0)).learning_rate_factor(
        1.0
    ) == pytest.approx(1.0)


def test_a_stopped_run_goes_on_to_the_same_numbers(real, tmp_path, monkeypatch):
    whole = fit(real, 0.06, tmp_path / "whole")
    losses = Pix2pixModel._generator_losses
    calls = []

    def stopped(self, step):
        calls.append(1)
        if len(calls) == 17:
            raise KeyboardInterrupt
        return losses(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(Pix2pixModel, "_generator_losses", stopped)
        with pytest.raises(KeyboardInterrupt):
            fit(real, 0.06, tmp_path / "pieces")
    _, about = load_tensors(tmp_path / "pieces" / CHECKPOINT)
    assert about["step"] == 10
    pieces = fit(real, 0.06, tmp_path / "pieces")
    assert whole.report.history == pieces.report.history
    first, second = (load_tensors(tmp_path / n / CHECKPOINT)[0] for n in ("whole", "pieces"))
    assert not [name for name in first if not torch.equal(first[name], second[name])]
    one, other = whole.sample(3, seed=0), pieces.sample(3, seed=0)
    assert one.fingerprint() == other.fingerprint()
    with Image.open(sorted((tmp_path / "whole" / "samples").iterdir())[0]) as picture:
        assert picture.size == (6 * 66 - 2, 6 * 66 - 2), "mask, synthetic, real; two abreast"


def test_images_follow_their_masks(make_set):
    """After some training, a moved disc is bright where its mask is."""
    real = make_set(16, size=64, masks=True)
    generator = fit(real, 0.8, width=8, batch_size=4, lr=1e-3, dropout=0.0, grid_kimg=9.0)
    drawn = generator.sample(12, seed=4)
    inside, outside = (
        np.mean([image[..., 0][where(mask)].mean() for image, mask in zip(drawn.images, drawn.masks, strict=True)])  # noqa: E501
        for where in (lambda mask: mask > 0, lambda mask: mask == 0)
    )  # fmt: skip
    truth = real.images[..., 0]
    assert inside > outside + 0.5 * (truth[real.masks > 0].mean() - truth[real.masks == 0].mean())


def test_masks_given_are_those_of_the_images(fitted, real):
    wanted = real.take([3, 1, 4])
    drawn = fitted.sample(3, seed=0, masks=wanted)
    assert np.array_equal(drawn.masks, wanted.masks)
    assert drawn.card.history[-1]["masks"] == "given"
    again = fitted.sample(2, seed=0, masks=real.take([3, 1]))
    assert np.array_equal(again.images, drawn.images[:2])
    assert drawn.card.mask_classes == ["disc", "middle"]
    joined = ImageSet.join([real, drawn])
    assert joined.masks is not None and len(joined) == 15


def test_masks_that_do_not_fit_are_refused(fitted, real, make_set):
    for masks, match in [
        (real.take([0]), "asked for 2 images, and 'blobs' has 1 masks"),
        (make_set(2, size=64), "has none masks"),
        (make_set(2, size=128, masks=True), "128 × 128 pixels, and pix2pix was trained on 64 × 64"),
    ]:
        with pytest.raises(DataError, match=match):
            fitted.sample(2, seed=0, masks=masks)
    two = real.take([0, 1])
    swapped = two.card.model_copy(update={"mask_classes": ["middle", "disc"]})
    with pytest.raises(DataError, match="of middle, disc, and pix2pix was trained on disc, middle"):
        fitted.sample(2, seed=0, masks=ImageSet(two.images, two.records, swapped, two.masks))
    beyond = np.array(two.masks)
    beyond[1, 0, 0] = 9
    with pytest.raises(DataError, match="mask of '000001' holds the value 9"):
        fitted.sample(2, seed=0, masks=ImageSet(two.images, two.records, two.card, beyond))


def test_a_set_without_masks_is_refused(make_set):
    with pytest.raises(DataError, match="makes images from masks, and 'blobs' has none"):
        fit(make_set(8, size=64), 0.01)


def test_wrong_settings_are_named_before_training(real):
    with pytest.raises(ConfigError, match="did you mean 'rotation_deg'"):
        fit(real, 0.01, jitter={"rotation": 3})
    with pytest.raises(ConfigError, match="did you mean 'ct'|unknown"):
        fit(real, 0.01, deformation="ctt")


def test_sets_without_classes_are_fitted_whole(make_set):
    blobs = make_set(8, size=64, masks=True)
    card = blobs.card.model_copy(update={"classes": [], "positive": None})
    bare = ImageSet(blobs.images, blobs.records.assign(label=""), card, blobs.masks)
    drawn = fit(bare, 0.01).sample(3, seed=0)
    assert drawn.classes == [] and set(drawn.records["label"]) == {""}
    assert len(ImageSet.join([bare, drawn])) == 11


def test_one_generator_per_class_takes_and_gives_masks(make_set, tmp_path):
    real = make_set(12, size=64, masks=True, labels=["normal", "ill"] * 6)
    several = PerClass("pix2pix", Pix2pixConfig(**SMALL))
    several.fit(real, Budget(kimg=0.008), FitContext(seed=0, quiet=True))
    several.save(tmp_path / "kept")
    for generator in (several, load_generator(tmp_path / "kept")):
        drawn = generator.sample(5, seed=0)
        assert drawn.masks is not None and set(drawn.records["label"]) <= {"normal", "ill"}
        labels = ["ill", "normal", "ill"]
        given = generator.sample(3, seed=0, labels=labels, masks=real.take([0, 1, 2]))
        assert list(given.records["label"]) == labels
        assert np.array_equal(given.masks, real.masks[:3])
        with pytest.raises(DataError, match="3 images with 2 masks"):
            generator.sample(3, seed=0, masks=real.take([0, 1]))


def test_deformed_masks_are_new_keep_their_classes_and_hit_every_source(real):
    source = DeformedMasks(real.masks, resolve_policy(Pix2pixConfig().deformation))
    drawn = [source.draw(SeedTree(0).child(number)) for number in range(60)]
    originals = {mask.tobytes() for mask in real.masks}
    assert sum(mask.tobytes() in originals for mask in drawn) == 0
    assert len({mask.tobytes() for mask in drawn}) == 60
    assert all(set(np.unique(mask)) <= {0, 1, 2} and mask.any() for mask in drawn)
    with_middle = np.mean([2 in mask for mask in drawn])
    assert 0.3 < with_middle < 0.7, "half of the training masks have a middle"


def test_a_deformation_that_loses_a_class_is_drawn_again():
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, 20:40, 20:40] = 1
    mask[0, 30, 60:64] = 2  # a small class at the edge: a shift to the right loses it
    source = DeformedMasks(mask, resolve_policy({"shift_x": 0.2, "fill_mode": "constant"}))
    kept = [2 in source.draw(SeedTree(0).child(number)) for number in range(40)]
    assert all(kept)


def test_generated_masks_are_like_training_masks_and_give_none_away(make_set, tmp_path):
    real = make_set(24, size=64, masks=True)
    generator = fit(real, 0.01, masks="generated", mask_steps=150)
    drawn = generator.sample(40, seed=0).masks
    assert drawn.dtype == np.uint8 and drawn.max() <= 2
    assert all(mask.any() for mask in drawn)
    areas, wanted = (masks.astype(bool).mean() for masks in (drawn, real.masks))
    assert 0.5 * wanted < areas < 2 * wanted
    differences = (drawn[:, None] != drawn[None]).mean((2, 3))
    assert np.median(differences[~np.eye(40, dtype=bool)]) > 0.3 * wanted, "they differ"
    generator.save(tmp_path)
    tensors, _ = load_tensors(tmp_path / "generator.safetensors")
    assert not [name for name in tensors if "training" in name]
    again = load_generator(tmp_path).sample(5, seed=0)
    assert np.array_equal(again.masks, drawn[:5])


def test_generated_masks_come_out_at_the_training_size():
    masks = np.zeros((6, 256, 256), np.uint8)
    masks[:, 60:180, 80:200] = 1
    policy = resolve_policy({"shift_x": 0.1, "fill_mode": "constant"})
    source = GeneratedMasks.fit(masks, 2, policy, steps=30, seeds=SeedTree(0))
    assert source.draw(SeedTree(1)).shape == (256, 256)
