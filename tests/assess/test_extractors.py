"""Feature extractors: same images, same features; an identity that changes with what matters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medgain.assess.extractors import hash_tensors, open_extractor, train_task_extractor
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError

WEIGHTS = "weights/squeezenet1_0_imagenet_deepcompression.pth"
CPU = torch.device("cpu")


def bars(count=40, *, channels=1, size=16, dtype="uint8", labels=("normal", "ill"), seed=0):
    """Noise with a bright bar whose place tells the class."""
    rng = np.random.default_rng(seed)
    chosen = [labels[i % len(labels)] for i in range(count)]
    images = rng.uniform(0.0, 0.5, (count, size, size, channels))
    for image, label in zip(images, chosen, strict=True):
        start = labels.index(label) * (size // 2)
        image[start : start + 4] += 0.4
    top = np.iinfo(dtype).max
    card = Card(name="bars", classes=list(labels))
    return ImageSet.from_arrays((images * top).astype(dtype), labels=chosen, card=card)


@pytest.fixture(scope="module")
def squeezenet(medgain_data):
    return open_extractor("torchvision:squeezenet1_0", weights=medgain_data / WEIGHTS)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_radiomics_gives_a_finite_row_per_image(dtype, channels):
    extractor = open_extractor("radiomics")
    features = extractor(bars(6, channels=channels, dtype=dtype))
    assert features.shape[0] == 6 and features.shape[1] > 50
    assert np.isfinite(features).all() and extractor.identity.startswith("radiomics")


def test_task_features_separate_the_classes_and_repeat_to_the_bit():
    train = bars(60)
    first = train_task_extractor(train, seed=0, device=CPU, steps=12)
    again = train_task_extractor(train, seed=0, device=CPU, steps=12)
    other = train_task_extractor(train, seed=1, device=CPU, steps=12)
    assert first.identity == again.identity != other.identity
    assert "12 steps on 60 images of 'bars'" in first.identity and "16×16 px" in first.identity
    fresh = bars(20, seed=5)
    features = first(fresh)
    assert np.array_equal(features, again(fresh)) and features.shape == (20, 128)
    means = [features[fresh.label_codes == code].mean(0) for code in (0, 1)]
    within = features[fresh.label_codes == 0].std(0).mean()
    assert np.abs(means[0] - means[1]).max() > 2 * within


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    train_task_extractor(bars(40), seed=0, device=CPU, steps=2)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (None, "all are held out"),
        (bars(20, labels=("normal",)), "two classes or more"),
        (bars(2), "group"),
    ],
)
def test_task_features_need_a_training_part_with_two_classes(train, message):
    with pytest.raises(DataError, match=message):
        open_extractor("task", train=train)


def test_real_pretrained_features_tell_grating_from_noise(squeezenet):
    assert squeezenet.identity.startswith("torchvision:squeezenet1_0, squeezenet1_0_imagenet")
    assert "input 224×224 px" in squeezenet.identity
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 32, 32, 1), dtype=np.uint8)
    wave = (127 + 120 * np.sin(np.arange(32)[:, None] / 2 + rng.uniform(0, 6, (4, 1, 1)))).astype(
        np.uint8
    )
    grating = np.broadcast_to(wave[..., None], (4, 32, 32, 1)).copy()
    card = Card(name="textures")
    features = squeezenet(ImageSet.from_arrays(np.concatenate([noise, grating]), card=card))
    assert features.shape == (8, 512)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    alike = unit @ unit.T
    assert alike[:4, :4].min() > alike[:4, 4:].max() + 0.1


def test_batches_do_not_change_features(squeezenet):
    images = bars(5, size=24)
    whole = squeezenet(images)
    single = np.concatenate([squeezenet(images.take([row])) for row in range(5)])
    np.testing.assert_allclose(whole, single, rtol=1e-4, atol=1e-5)


def test_colour_images_pass_unchanged_and_grey_ones_are_repeated(squeezenet):
    grey = bars(2, size=24)
    colour = ImageSet(np.repeat(grey.images, 3, axis=3), grey.records, grey.card)
    np.testing.assert_allclose(squeezenet(grey), squeezenet(colour), rtol=1e-3, atol=1e-3)


def test_weights_of_another_model_are_refused_by_name_of_the_option(medgain_data, tmp_path):
    with pytest.raises(ConfigError, match="don't fit torchvision:resnet18") as caught:
        open_extractor("torchvision:resnet18", weights=medgain_data / WEIGHTS)
    assert "task." not in str(caught.value) and "--features" in str(caught.value)
    bad = tmp_path / "bad.pth"
    bad.write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="not a plain weights file"):
        open_extractor("torchvision:squeezenet1_0", weights=bad)
    with pytest.raises(ConfigError, match="need pretrained weights"):
        open_extractor("torchvision:squeezenet1_0")


def test_a_timm_backbone_takes_weights_from_a_file(tmp_path):
    import timm
    from safetensors.torch import save_file

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("resnet10t", num_classes=0)
    file = tmp_path / "resnet10t.safetensors"
    save_file(model.state_dict(), file)
    extractor = open_extractor("timm:resnet10t", weights=file)
    assert "timm:resnet10t, resnet10t.safetensors" in extractor.identity
    assert extractor(bars(2)).shape == (2, model.num_features)


def test_features_that_are_not_finite_are_an_error(squeezenet, monkeypatch):
    monkeypatch.setattr(squeezenet, "_mean", torch.full((1, 3, 1, 1), float("nan")))
    with pytest.raises(DataError, match="not finite"):
        squeezenet(bars(2))


def test_the_hash_knows_values_names_and_shapes():
    one = {"a": torch.zeros(2), "b": torch.ones(1)}
    assert hash_tensors(one) == hash_tensors(dict(reversed(one.items())))
    assert hash_tensors(one) != hash_tensors({"a": torch.zeros(2), "b": torch.zeros(1)})
    assert hash_tensors(one) != hash_tensors({"a": torch.zeros(2, 1), "b": torch.ones(1)})
    assert hash_tensors({"n": torch.tensor(3)}) != hash_tensors({"n": torch.tensor(4)})
