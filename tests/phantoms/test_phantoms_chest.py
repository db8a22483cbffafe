"""The chest phantom: patients, labels, splits, and no short cut to the answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medgain.phantoms import PHANTOMS
from medgain.phantoms.chest.phantom import ChestOptions, plan_patients
from medgain.runtime.errors import ConfigError
from medgain.runtime.seeds import SeedTree

CHEST = PHANTOMS.get("chest")


@pytest.fixture(scope="module")
def chests():
    return CHEST.make(600, seed=1)


def test_classes_and_card(chests):
    assert chests.card.name == "chest phantom"
    assert chests.classes == ["normal", "pneumonia"]
    assert chests.card.positive == "pneumonia"
    assert chests.card.history[0]["options"]["severity"] == 1.0


def test_a_patient_has_one_label_one_split_and_one_to_four_images(chests):
    by_patient = chests.records.groupby("group")
    assert (by_patient.label.nunique() == 1).all()
    assert (by_patient.split.nunique() == 1).all()
    assert set(by_patient.size()) == {1, 2, 3, 4}


def test_no_two_images_are_alike(chests):
    assert chests.records.sha256.is_unique
    flat = chests.images.reshape(len(chests), -1)[::4].astype(np.float64)
    correlation = np.corrcoef(flat)
    np.fill_diagonal(correlation, 0.0)
    assert correlation.max() < 0.99


def test_images_of_a_patient_are_more_alike_than_others(chests):
    pixels = chests.images[..., 0].reshape(len(chests), 16, 4, 16, 4).mean((2, 4))
    correlation = np.corrcoef(pixels.reshape(len(chests), -1))
    same = chests.groups[:, None] == chests.groups[None, :]
    np.fill_diagonal(same, False)
    others = ~same & ~np.eye(len(same), dtype=bool)
    assert correlation[same].mean() > correlation[others].mean() + 0.02


def test_pictures_use_the_grey_scale(chests):
    sd = chests.images.reshape(len(chests), -1).std(axis=1)
    assert sd.min() > 15
    assert 60 < chests.images.mean() < 170


def test_brightness_and_histogram_are_nearly_no_clue(chests):
    """Mean and spread are at chance; the histogram's shape is worth little."""
    pixels = chests.images.reshape(len(chests), -1) / 255.0
    shares = np.stack([np.histogram(row, 16, (0, 1))[0] / row.size for row in pixels])
    moments = np.stack([pixels.mean(1), pixels.std(1)], axis=1)

    def auroc(features: np.ndarray) -> float:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        scores = cross_val_predict(
            model,
            features,
            chests.label_codes,
            groups=chests.groups,
            cv=GroupKFold(5),
            method="predict_proba",
        )
        return float(roc_auc_score(chests.label_codes, scores[:, 1]))

    assert 0.40 < auroc(moments) < 0.60
    assert 0.40 < auroc(np.concatenate([moments, shares], axis=1)) < 0.72


def test_without_severity_the_classes_differ_in_nothing():
    none = CHEST.make(24, size_px=32, severity=0.0)
    assert set(none.records.finding) <= {"", "lobar", "patchy", "interstitial"}
    one = CHEST.make(24, size_px=32, severity=0.0, prevalence=0.01)
    same_patient = none.records.image_id.isin(one.records.image_id)
    assert same_patient.all()
    assert np.array_equal(none.images, one.images), "the label alone changes no pixel"


def test_severity_shows_in_every_patient_with_pneumonia():
    ill = CHEST.make(12, size_px=64, prevalence=0.5, severity=2.0)
    healthy = CHEST.make(12, size_px=64, prevalence=0.5, severity=0.0)
    changed = (ill.images.astype(int) - healthy.images).reshape(12, -1)
    assert (np.abs(changed).max(axis=1) > 10)[ill.label_codes == 1].all()


def test_a_size_is_a_resampling_of_the_same_chest():
    small, large = CHEST.make(6, size_px=64), CHEST.make(6, size_px=128)
    halved = large.images[..., 0].reshape(6, 64, 2, 64, 2).mean(axis=(2, 4))
    for one, other in zip(small.images[..., 0], halved, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 600),
    seed=st.integers(0, 2**40),
    prevalence=st.floats(0.05, 0.95),
    test_fraction=st.floats(0.0, 0.9),
    most=st.integers(1, 20),
)
def test_plan_keeps_count_shares_and_patients(count, seed, prevalence, test_fraction, most):
    options = ChestOptions(
        prevalence=prevalence, test_fraction=test_fraction, max_images_per_patient=most
    )
    plan = list(plan_patients(SeedTree(seed), count, options))
    assert sum(patient.images for patient in plan) == count
    assert all(1 <= patient.images <= most for patient in plan)
    assert [patient.number for patient in plan] == list(range(len(plan)))
    ill = sum(patient.images for patient in plan if patient.label == "pneumonia")
    assert abs(ill - prevalence * count) <= most + 1
    for label, total in (("pneumonia", ill), ("normal", count - ill)):
        test = sum(p.images for p in plan if p.label == label and p.split == "test")
        assert abs(test - test_fraction * total) <= most + 1


def test_no_test_fraction_means_no_test_part():
    assert set(CHEST.make(30, size_px=16, test_fraction=0.0).splits) == {"train"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("prevalence", 0.0),
        ("prevalence", 1.0),
        ("prevalence", "half"),
        ("test_fraction", 1.0),
        ("test_fraction", -0.1),
        ("test_fraction", float("nan")),
        ("max_images_per_patient", 0),
        ("max_images_per_patient", 1.5),
        ("severity", -1),
        ("severity", float("inf")),
        ("severity", None),
    ],
)
def test_refuses_a_hostile_option(option, value):
    with pytest.raises(ConfigError, match=option) as caught:
        CHEST.make(2, **{option: value})
    assert option in caught.value.remedy


def test_an_unknown_option_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'prevalence'"):
        CHEST.make(2, prevalance=0.3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_four_hundred_training_images_beat_forty():
    """A small CNN learns clearly more from 400 images than from 40 (measured: see the docs)."""
    import torch
    from torch import nn

    chests = CHEST.make(700, seed=11, test_fraction=0.36)
    images = torch.tensor(chests.images[..., 0], dtype=torch.float32)[:, None] / 255.0 - 0.4
    labels = torch.tensor(chests.label_codes, dtype=torch.float32)
    train, test = (np.flatnonzero(chests.splits == part) for part in ("train", "test"))

    def auroc(count: int) -> float:
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        channels = 1
        for width in (32, 64, 128):
            conv = nn.Conv2d(channels, width, 3, padding=1)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
            channels = width
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1)]
        model = nn.Sequential(*layers, *head)
        optimiser = torch.optim.Adam(model.parameters(), 1e-3)
        generator = torch.Generator().manual_seed(0)
        for _ in range(400):
            batch = train[torch.randint(count, (32,), generator=generator).numpy()]
            loss = nn.functional.binary_cross_entropy_with_logits(
                model(images[batch])[:, 0], labels[batch]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            scores = model.eval()(images[test])[:, 0]
        return float(roc_auc_score(labels[test], scores))

    few, many = auroc(40), auroc(400)
    assert many > few + 0.08
    assert many > 0.75
