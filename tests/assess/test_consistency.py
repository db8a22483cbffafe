"""Whether synthetic images show what their masks say: figures, intervals, wording, a score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from medgain.assess.consistency import (
    Outlined,
    compare,
    consistency,
    draw_pairs,
    segmenter_config,
    train_and_check,
)
from medgain.assess.score.folder import PAIRS_FILE, score_to_folder
from medgain.assess.score.result import FigureGap, SideCounts, read_score
from medgain.assess.score.run import score
from medgain.assess.score.wording import consistency_sentences
from medgain.imageset.imageset import Card, ImageSet
from medgain.metrics import dice
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree
from medgain.tasks.segmentation.task import SegmentationTask
from toys import draw

SEEDS = SeedTree(0)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pairs(groups=20, seed=0, *, size=32, shift_px=0, origin="real", classes=("organ", "spot")):
    """Noise with a bright organ that sometimes has a brighter spot; two images per group.

    `shift_px` moves the masks away from what the images show.
    """
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (2 * groups, size, size, 1), dtype=np.uint8)
    masks = np.zeros((2 * groups, size, size), np.uint8)
    for number in range(2 * groups):
        top, left = rng.integers(4, size - 20, 2)
        masks[number, top : top + 12, left : left + 14] = 1
        if number % 3 and len(classes) > 1:
            masks[number, top + 2 : top + 7, left + 3 : left + 8] = 2
    images[..., 0] += masks * 90
    masks = np.roll(masks, shift_px, axis=2)
    names = [f"{origin}{seed}-{number // 2}" for number in range(2 * groups)]
    card = Card(
        name=f"{origin} pairs", origin=origin, mask_classes=list(classes), groups_known=True
    )
    return ImageSet.from_arrays(images, masks=masks, groups=names, card=card)


def by_brightness(images):
    """What a perfect segmenter of these toys finds."""
    return np.digitize(images.images[..., 0], [75, 165]).astype(np.uint8)


def test_pairs_that_belong_together_score_like_real_ones():
    found = consistency(by_brightness, pairs(seed=1, origin="synthetic"), pairs(), seeds=SEEDS)
    assert list(found.scores) == [
        *("dice", "dice[organ]", "dice[spot]"),
        *("boundary_f", "boundary_f[organ]", "boundary_f[spot]"),
    ]
    assert found.images == SideCounts(synthetic=40, real=40)
    assert found.groups == SideCounts(synthetic=20, real=20)
    for block in found.scores.values():
        assert block.synthetic.value == block.real.value == 1
        assert block.gap == FigureGap(value=0, ci_low=0, ci_high=0)
        assert block.shuffled < 0.7


def test_masks_that_lie_beside_what_images_show_are_found_out():
    real = pairs()
    shown = [
        consistency(by_brightness, pairs(seed=1, origin="synthetic", shift_px=d), real, seeds=SEEDS)
        for d in (0, 1, 2, 4)
    ]
    values = [found.scores["dice"].synthetic.value for found in shown]
    assert values == sorted(values, reverse=True) and len(set(values)) == 4
    for found in shown[1:]:
        gap = found.scores["dice"].gap
        assert gap.ci_low <= gap.value <= gap.ci_high < 0
        assert "fit their masks less well" in consistency_sentences(found)[0]
    swapped = pairs(seed=1, origin="synthetic")
    swapped = ImageSet.from_arrays(
        swapped.images, masks=np.roll(swapped.masks, 1, axis=0), card=swapped.card
    )
    found = consistency(by_brightness, swapped, real, seeds=SEEDS).scores["dice[organ]"]
    assert found.synthetic.value == pytest.approx(found.shuffled, abs=0.12)


def test_the_interval_of_one_class_is_students_over_groups():
    """For the mean over groups of a class that every image has, nothing is left to chance but
    the bootstrap's own noise."""
    real = pairs(30)
    rough = np.where(np.random.default_rng(0).random(real.masks.shape) < 0.3, 0, real.masks)
    found = compare(Outlined(real, rough), Outlined(real, by_brightness(real)), SEEDS)
    block = found.scores["dice[organ]"].synthetic
    values = dice(real.masks, rough, classes=2)[:, 0].reshape(30, 2).mean(axis=1)
    half = stats.t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    assert block.value == pytest.approx(values.mean())
    assert block.ci_high - block.value == pytest.approx(half, rel=0.15)
    assert block.groups == 30


def test_the_interval_covers():
    """95 % intervals of the mean over 12 groups contain the truth in about 114 of 120 cases."""
    rng = np.random.default_rng(1)
    truth = np.zeros((1, 1, 100), np.uint8)
    truth[..., :50] = 1
    images = np.zeros((24, 1, 100, 1), np.uint8)
    groups = np.repeat([f"g{i}" for i in range(12)], 2)
    card = Card(name="x", mask_classes=["a"], groups_known=True)
    sets = ImageSet.from_arrays(
        images, masks=truth.repeat(24, 0), groups=groups.tolist(), card=card
    )
    hits, gaps = 0, 0
    for trial in range(120):
        sides = []
        for _ in range(2):
            missed = (rng.normal(20, 5, 12).repeat(2) + rng.normal(0, 2, 24)).round().astype(int)
            found = truth.repeat(24, 0).copy()
            for image, miss in enumerate(missed.clip(0, 40)):
                found[image, 0, :miss] = 0
            sides.append(Outlined(sets, found))
        block = compare(*sides, SeedTree(trial)).scores["dice"]
        expected = np.mean([2 * (50 - m) / (100 - m) for m in rng.normal(20, 5.4, 20_000)])
        hits += block.synthetic.ci_low <= expected <= block.synthetic.ci_high
        gaps += block.gap.ci_low <= 0 <= block.gap.ci_high
    assert 107 <= hits <= 119 and 107 <= gaps <= 119


def test_the_same_seed_gives_the_same_figures_and_groups_matter():
    synthetic, real = pairs(seed=1, origin="synthetic", shift_px=1), pairs()
    first = consistency(by_brightness, synthetic, real, seeds=SEEDS)
    assert first == consistency(by_brightness, synthetic, real, seeds=SEEDS)
    few = ImageSet.from_arrays(
        synthetic.images, masks=synthetic.masks, groups=["one"] * 40, card=synthetic.card
    )
    block = consistency(by_brightness, few, real, seeds=SEEDS)
    assert block.scores["dice"].synthetic.ci_low is None
    assert block.scores["dice"].gap.ci_low is None
    assert "one group: no interval" in consistency_sentences(block)[0]


def test_a_class_that_no_mask_has_is_undefined_and_said_to_be():
    synthetic = pairs(seed=1, origin="synthetic")
    bare = ImageSet.from_arrays(
        np.minimum(synthetic.images, 160), masks=np.minimum(synthetic.masks, 1), card=synthetic.card
    )
    found = consistency(by_brightness, bare, pairs(), seeds=SEEDS)
    assert found.scores["dice[organ]"].synthetic.value == 1
    assert found.scores["dice"].synthetic.value is None
    said = consistency_sentences(found)
    assert "undefined" in said[0] and "Dice 1.000" in said[1] and "undefined" in said[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.without_masks(), "no masks"),
        (
            lambda s: ImageSet(
                s.images,
                s.records,
                s.card.model_copy(update={"mask_classes": ["spot", "organ"]}),
                s.masks,
            ),
            "of spot, organ, those of 'real pairs' of organ, spot",
        ),
    ],
)
def test_sets_whose_masks_do_not_fit_are_refused(change, message):
    synthetic = change(pairs(seed=1, origin="synthetic"))
    with pytest.raises(DataError, match=message):
        consistency(by_brightness, synthetic, pairs(), seeds=SEEDS)
    found, outlined = train_and_check(
        pairs(), pairs(seed=2), synthetic, seeds=SEEDS, steps=1, device=CPU
    )
    assert message.split(",")[0] in found.reason and outlined == {}


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        (None, "all real images are held out"),
        (pairs(3), "6 real images are too few"),
        (pairs(10).without_masks(), "has no masks"),
    ],
)
def test_where_no_segmenter_can_be_trained_the_reason_is_told(train, reason):
    synthetic = pairs(seed=1, origin="synthetic")
    found, outlined = train_and_check(
        train, pairs(seed=2), synthetic, seeds=SEEDS, steps=1, device=CPU
    )
    assert reason in found.reason and outlined == {}
    assert reason in consistency_sentences(found)[0]


def test_a_trained_segmenter_sees_images_that_do_not_show_their_masks():
    train, held_out = pairs(20), pairs(10, seed=2)
    good = pairs(10, seed=3, origin="synthetic")
    found, outlined = train_and_check(train, held_out, good, seeds=SEEDS, steps=60, device=CPU)
    assert found.scores["dice[organ]"].real.value > 0.9
    assert abs(found.scores["dice[organ]"].gap.value) < 0.05
    assert found.segmenter.training_images == 32 and found.segmenter.steps == 60
    assert 0.5 < found.segmenter.validation_dice <= 1
    blank = ImageSet.from_arrays(
        np.random.default_rng(0).integers(0, 60, good.images.shape, dtype=np.uint8),
        masks=good.masks,
        card=good.card,
    )
    task = SegmentationTask(segmenter_config(60))
    assert set(outlined) == {"synthetic", "real"} and task.config.width == 16
    lost, _ = train_and_check(train, held_out, blank, seeds=SEEDS, steps=60, device=CPU)
    assert lost.scores["dice[organ]"].synthetic.value < 0.3
    assert lost.scores["dice[organ]"].gap.ci_high < 0


def test_pairs_are_drawn_one_per_group_with_masks_first():
    real = pairs()
    some = real.masks.copy()
    some[::2] = 0
    real = ImageSet.from_arrays(real.images, masks=some, groups=list(real.groups), card=real.card)
    drawn = draw_pairs({"real": Outlined(real, some)}, SEEDS)
    assert set(drawn) == {"real_images", "real_masks", "real_found"}
    assert drawn["real_images"].shape == (4, 32, 32, 1) and drawn["real_masks"].any((1, 2)).all()
    np.testing.assert_array_equal(drawn["real_masks"], drawn["real_found"])


def test_a_score_of_sets_with_masks_says_whether_they_fit(tmp_path):
    real, synthetic = pairs(40), pairs(20, seed=1, origin="synthetic", shift_px=4)
    result = score_to_folder(real, synthetic, tmp_path, features="radiomics", steps=60, repeats=0)
    block = result.consistency
    assert block.scores["dice"].gap.ci_high < 0
    assert block.images.real == result.real.held_out
    assert block.segmenter.training_images < result.real.train
    assert sum("a segmenter trained on real pairs reaches Dice" in s for s in result.summary) == 1
    assert sum("reaches Dice" in s for s in result.sentences) == 3
    assert "A segmenter trained on real pairs finds their masks with Dice" in result.headline
    assert read_score(tmp_path) == result
    kept = np.load(tmp_path / PAIRS_FILE)
    assert {name.partition("_")[0] for name in kept.files} == {"real", "synthetic"}


def test_a_score_without_training_or_masks_says_so_or_nothing():
    options = {"features": "radiomics", "training": False}
    masked = score(pairs(40), pairs(20, seed=1, origin="synthetic"), **options)
    assert "not trained in this run" in masked.consistency.reason
    assert any("fit their masks: not checked" in s for s in masked.sentences)
    bare = score(pairs(40), pairs(20, seed=1, origin="synthetic").without_masks(), **options)
    assert bare.consistency is None and not any("mask" in s for s in bare.sentences)
    toys = draw(60)
    posing = ImageSet(
        draw(40, 7, name="made").images,
        draw(40, 7, name="made").records,
        toys.card.model_copy(update={"origin": "synthetic"}),
    )
    assert score(toys, posing, **options).consistency is None
