"""What a task keeps per image is enough to compute its metrics again."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.imageset.imageset import Card, ImageSet
from medgain.metrics import METRICS
from medgain.runtime.errors import DataError
from medgain.tasks.classification.config import ClassificationConfig
from medgain.tasks.classification.task import ClassificationTask

NAMES = [
    entry.name for entry in METRICS if entry.value.task == "classification" and entry.value.overall
] + ["recall[normal]", "recall[pneumonia]"]


@pytest.fixture
def task():
    return ClassificationTask(ClassificationConfig())


@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize("threshold", [None, 0.4])
def test_unit_weights_give_back_the_score(make_images, task, metric, threshold):
    images = make_images(30)
    chances = np.random.default_rng(0).dirichlet([1, 1], 30)
    frame = task.per_image(chances, images, threshold)
    assert list(frame) == ["label", "threshold", "p_normal", "p_pneumonia"]
    weights = np.ones((3, 30))
    weights[2] = np.arange(30) % 2 * 2  # only pneumonia, twice
    values = task.resampled(metric, frame, weights, images.card.model_dump())
    expected = task.score(chances, images, threshold)[metric]
    assert values[0] == pytest.approx(expected)
    assert values[1] == pytest.approx(expected)
    only_ill = images.take(np.arange(30) % 2 == 1)
    again = task.score(chances[1::2], only_ill, threshold)[metric]
    assert values[2] == pytest.approx(again, nan_ok=True)


def test_a_set_without_two_classes_is_refused(make_images, task):
    task.check(make_images(4))
    bare = ImageSet.from_arrays(np.zeros((2, 16, 16, 1), np.uint8), card=Card(name="lungs"))
    with pytest.raises(DataError, match="'lungs' have no labels"):
        task.check(bare)
    one = make_images(4, classes=("ill",))
    with pytest.raises(DataError, match="one class only"):
        task.check(one)
