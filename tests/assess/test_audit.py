"""An audit fails copies, passes strangers, refuses what it can't compare, and writes it down."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from medgain.assess.audit.folder import check_out, write_audit
from medgain.assess.audit.inputs import real_parts, take_split
from medgain.assess.audit.result import read_audit
from medgain.assess.audit.run import Audit, audit
from medgain.assess.audit.verdict import RULE, Evidence, judge
from medgain.imageset.imageset import Card, ImageSet
from medgain.metrics.memorisation.calibration import Membership
from medgain.runtime.errors import ConfigError, DataError, LeakError, MedgainError


def textures(count: int, seed: int, side: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fields = [cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), 1.3) for _ in range(count)]
    scaled = [110 + 35 * field / field.std() for field in fields]
    return np.clip(np.stack(scaled), 0, 255).astype(np.uint8)[..., None]


def make(
    images: np.ndarray, name: str, *, groups: list[str] | None = None, **card: object
) -> ImageSet:
    card = {"groups_known": True, "group_rule": "made up", "classes": ["a", "b"], **card}
    return ImageSet.from_arrays(
        images,
        labels=["a" if i % 2 else "b" for i in range(len(images))],
        groups=groups or [f"{name}-{i // 2}" for i in range(len(images))],
        image_ids=[f"{name}/{i}" for i in range(len(images))],
        card=Card(name=name, **card),  # type: ignore[arg-type]
    )


TRAIN, HOLDOUT = make(textures(30, 0), "train"), make(textures(100, 1), "holdout")
STRANGERS = textures(40, 2)


def synthetic(images: np.ndarray) -> ImageSet:
    return make(images, "made", origin="synthetic", groups_known=False)


@cache
def planted() -> Audit:
    copies = np.stack([TRAIN.images[3], TRAIN.images[4][:, ::-1], TRAIN.images[5] // 2])
    return audit(synthetic(np.concatenate([STRANGERS[:17], copies])), TRAIN, HOLDOUT)


def test_strangers_pass() -> None:
    found = audit(synthetic(STRANGERS), TRAIN, HOLDOUT).result
    assert found.verdict == "pass"
    assert found.copies == [] and found.flag_rate <= 0.05
    assert found.membership_ci[0] < 0.5 < found.membership_ci[1]
    assert found.flag_rate_ci[0] <= found.flag_rate <= found.flag_rate_ci[1]
    assert "up to" in " ".join(found.notes)


def test_planted_copies_fail_and_are_named_with_their_twins() -> None:
    found = planted().result
    assert found.verdict == "fail"
    assert found.copies == ["made/17", "made/18", "made/19"]
    assert set(found.copies) <= set(found.flagged)
    first = {pair.image_id: pair for pair in found.pairs[:3]}
    assert [first[f"made/{i}"].train_image_id for i in (17, 18, 19)] == [
        "train/3",
        "train/4",
        "train/5",
    ]
    assert first["made/17"].kind == "identical" and first["made/18"].kind == "copy"
    assert first["made/18"].mirrored and not first["made/19"].mirrored
    assert found.reasons[0] == "3 images of 20 are copies of training images."
    assert found.copy_rate == 0.15


def test_result_holds_what_a_release_needs() -> None:
    done = planted()
    found = done.result
    assert found.synthetic_fingerprint == done.sets.synthetic.fingerprint()
    assert found.train_fingerprint == TRAIN.fingerprint()
    assert found.holdout_fingerprint == HOLDOUT.fingerprint()
    assert found.images == 20 and found.rule == RULE
    assert found.flag_rate == len(found.flagged) / 20
    assert 0 < found.flag_rate_expected <= 0.02
    assert sum(row.flagged for row in found.per_class) == len(found.flagged)
    counted = found.histogram.pixels
    assert sum(counted.synthetic) == 20 and sum(counted.holdout) == 100
    table = done.distances
    assert table.groupby("set").size().to_dict() == {"synthetic": 20, "holdout": 100}
    assert table.loc[table["flagged"] & (table["set"] == "synthetic"), "image_id"].tolist() == (
        found.flagged
    )


def test_the_same_audit_gives_the_same_numbers() -> None:
    copies = np.stack([TRAIN.images[3], TRAIN.images[4][:, ::-1], TRAIN.images[5] // 2])
    again = audit(synthetic(np.concatenate([STRANGERS[:17], copies])), TRAIN, HOLDOUT)
    assert again.result == planted().result


def test_training_set_itself_fails_in_every_way() -> None:
    found = audit(synthetic(np.asarray(TRAIN.images)), TRAIN, HOLDOUT).result
    assert found.verdict == "fail"
    assert found.copy_rate == found.flag_rate == found.membership_auroc == 1.0
    assert found.flag_p_value < 1e-6
    assert {pair.kind for pair in found.pairs} == {"identical"}
    assert all(pair.distance == 0.0 for pair in found.pairs)


def test_one_image_is_judged() -> None:
    assert audit(synthetic(STRANGERS[:1]), TRAIN, HOLDOUT).result.verdict == "pass"
    one = audit(synthetic(np.asarray(TRAIN.images[:1])), TRAIN, HOLDOUT).result
    assert one.verdict == "fail" and one.flagged == ["made/0"]
    lonely = audit(synthetic(STRANGERS[:5]), TRAIN.take([0]), HOLDOUT).result
    assert lonely.images == 5  # a training set of one image has no other group


def test_few_held_out_images_never_pass() -> None:
    found = audit(synthetic(STRANGERS), TRAIN, HOLDOUT.take(range(30))).result
    assert found.verdict == "review"
    assert "30 held-out images" in " ".join(found.reasons)
    assert not found.thresholds.resolved
    assert "do not resolve" in " ".join(found.notes)


def test_blank_images_are_not_flagged() -> None:
    blank = np.full((3, 32, 32, 1), 128, np.uint8)
    train = make(np.concatenate([np.asarray(TRAIN.images), blank[:1]]), "train")
    found = audit(synthetic(np.concatenate([STRANGERS[:10], blank])), train, HOLDOUT).result
    assert found.verdict == "pass"
    assert not {"made/10", "made/11", "made/12"} & set(found.flagged)
    assert "3 images without any contrast" in " ".join(found.notes)


@pytest.mark.parametrize("way", ["16 bit", "colour"])
def test_16_bit_and_colour_copies_are_found(way: str) -> None:
    def turn(images: np.ndarray) -> np.ndarray:
        if way == "16 bit":
            return np.asarray(images).astype(np.uint16) * 16
        return np.repeat(np.asarray(images), 3, axis=3)

    train, holdout = make(turn(TRAIN.images), "train"), make(turn(HOLDOUT.images), "holdout")
    made = synthetic(turn(np.concatenate([STRANGERS[:10], TRAIN.images[7:8, :, ::-1]])))
    assert audit(made, train, holdout).result.copies == ["made/10"]


def test_extractor_may_be_given() -> None:
    def means(images: ImageSet) -> np.ndarray:
        return np.asarray(images.images, float).mean(axis=(2, 3))

    made = synthetic(np.concatenate([STRANGERS[:10], TRAIN.images[:1]]))
    found = audit(made, TRAIN, HOLDOUT, features=means, features_name="rows").result
    assert found.features == "rows" and found.copies == ["made/10"]
    assert found.pairs[0].feature_distance == 0.0
    with pytest.raises(DataError, match="one row per image"):
        audit(made, TRAIN, HOLDOUT, features=lambda images: np.zeros((2, 2)))


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_empty_sets_are_refused(empty: int) -> None:
    sets = [synthetic(STRANGERS), TRAIN, HOLDOUT]
    sets[empty] = sets[empty].take([])
    with pytest.raises(DataError, match="holds no image"):
        audit(*sets)


def test_other_sizes_and_channels_are_refused() -> None:
    with pytest.raises(DataError, match=r"32 × 32 px .* 64 × 64 px"):
        audit(synthetic(STRANGERS), make(textures(4, 0, 64), "train"), HOLDOUT)
    with pytest.raises(DataError, match="3 channels"):
        audit(synthetic(STRANGERS), TRAIN, make(np.repeat(HOLDOUT.images, 3, axis=3), "holdout"))


def test_hold_out_that_is_not_held_out_is_refused() -> None:
    with pytest.raises(LeakError, match="are in the training set"):
        audit(synthetic(STRANGERS), TRAIN, TRAIN)
    same = make(np.concatenate([HOLDOUT.images, TRAIN.images[:2]]), "holdout")
    with pytest.raises(LeakError, match=r"2 of its images are .*drop"):
        audit(synthetic(STRANGERS), TRAIN, same)
    groups = ["train-0", "train-0", *(f"other-{i}" for i in range(98))]
    kin = make(np.asarray(HOLDOUT.images), "holdout", groups=groups)
    with pytest.raises(LeakError, match="1 groups .* weakens the calibration"):
        audit(synthetic(STRANGERS), TRAIN, kin)
    with pytest.raises(ConfigError, match="on_overlap"):
        audit(synthetic(STRANGERS), TRAIN, kin, on_overlap="ignore")  # type: ignore[arg-type]


def test_overlap_may_be_dropped_from_the_hold_out() -> None:
    groups = ["train-0", "train-0", *(f"other-{i}" for i in range(100))]
    both = make(np.concatenate([HOLDOUT.images, TRAIN.images[:2]]), "holdout", groups=groups)
    found = audit(synthetic(STRANGERS[:10]), TRAIN, both, on_overlap="drop").result
    assert found.sets.holdout.images == 98
    assert "4 images were left out of the hold-out" in found.notes[0]


def test_unknown_patients_are_noted_and_their_ids_not_compared() -> None:
    ids = [f"{i:06d}" for i in range(100)]
    train = make(np.asarray(TRAIN.images), "train", groups=ids[:30], groups_known=False)
    holdout = make(np.asarray(HOLDOUT.images), "holdout", groups=ids, groups_known=False)
    found = audit(synthetic(STRANGERS[:10]), train, holdout).result
    assert found.sets.holdout.images == 100
    assert "Patient ids unknown" in " ".join(found.notes)


def test_near_duplicate_in_the_hold_out_asks_for_a_review() -> None:
    near = np.clip(TRAIN.images[9].astype(int) + 2, 0, 255).astype(np.uint8)
    images = np.concatenate([np.asarray(HOLDOUT.images), near[None]])
    found = audit(synthetic(STRANGERS), TRAIN, make(images, "holdout")).result
    assert found.verdict == "review"
    assert "1 held-out image as near to a training image as a copy" in found.reasons[0]


def test_hold_out_of_another_source_is_told() -> None:
    # a third of each is a training image: nearer to the training set than that is to itself
    known = np.asarray(TRAIN.images)[np.arange(100) % 30].astype(int)
    other = make(((known + 2 * HOLDOUT.images.astype(int)) // 3).astype(np.uint8), "holdout")
    found = audit(synthetic(STRANGERS[:10]), TRAIN, other).result
    low, high = found.source_shift.ci
    assert low <= high < 0.5
    assert "hold-out differs from the training set as a whole" in " ".join(found.notes)


def test_parts_of_one_set(tmp_path: Path) -> None:
    both = ImageSet.join([TRAIN, HOLDOUT], name="both")
    records = both.records.assign(split=["train"] * 30 + ["test"] * 100)
    both = ImageSet.open(ImageSet(both.images, records, both.card).save(tmp_path / "both"))
    train, holdout = real_parts(both, None, "train", "test")
    assert (len(train), len(holdout)) == (30, 100)
    assert len(real_parts(both, None, "train", "test", "a")[0]) == 15
    assert len(take_split(both, "train,test")) == 130
    with pytest.raises(ConfigError, match="no hold-out"):
        real_parts(both)
    with pytest.raises(ConfigError, match=r"split 'val'.*'test', 'train'"):
        real_parts(both, None, "val", "test")
    with pytest.raises(ConfigError, match="label 'c'"):
        real_parts(both, None, "train", "test", "c")


def evidence(**changes: object) -> Evidence:
    usual: dict[str, object] = {
        "copies": 0,
        "flagged": 10,
        "images": 1000,
        "expected": 0.01,
        "p_value": 0.5,
        "membership": Membership(0.5, 0.47, 0.53),
        "holdout": 600,
        "suspicious": 0,
        "shift": Membership(0.5, 0.46, 0.54),
    }
    return Evidence(**{**usual, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "pass"),
        ({"copies": 1}, "fail"),
        ({"p_value": 0.0005}, "fail"),
        ({"p_value": 0.02}, "review"),
        ({"membership": Membership(0.7, 0.65, 0.75)}, "fail"),
        ({"membership": Membership(0.55, 0.52, 0.58)}, "review"),
        ({"membership": Membership(0.4, 0.35, 0.45)}, "pass"),
        (
            {"membership": Membership(0.7, 0.65, 0.75), "shift": Membership(0.7, 0.65, 0.75)},
            "review",
        ),
        ({"shift": Membership(0.7, 0.65, 0.75)}, "pass"),
        ({"membership": Membership(0.7, 0.65, 0.75), "shift": None}, "fail"),
        ({"holdout": 99}, "review"),
        ({"suspicious": 2}, "review"),
        ({"holdout": 99, "copies": 2}, "fail"),
    ],
)
def test_verdict_follows_its_rule(changes: dict[str, object], verdict: str) -> None:
    found, reasons = judge(evidence(**changes))
    assert found == verdict
    assert all(reason.endswith(".") for reason in reasons)


def test_rule_states_its_numbers() -> None:
    assert "{" not in RULE
    for words in ("below 0.001", "above 0.60", "below 0.05", "above 0.50", "fewer than 100"):
        assert words in RULE


def test_what_decides_is_said_first() -> None:
    _, reasons = judge(evidence(copies=1, p_value=0.02))
    assert reasons[0] == "1 image of 1,000 is a copy of training images."
    assert "probability 0.02" in reasons[1] and "AUROC 0.500" in reasons[2]


def test_audit_is_written_whole_and_never_over_something_else(tmp_path: Path) -> None:
    out = write_audit(planted(), tmp_path / "audit")
    assert read_audit(out) == read_audit(out / "audit.json") == planted().result
    assert json.loads((out / "audit.json").read_text())["verdict"] == "fail"
    assert len(pd.read_parquet(out / "distances.parquet")) == 120
    with np.load(out / "pairs.npz", allow_pickle=False) as pictures:
        assert pictures["train"].shape == pictures["synthetic"].shape
        np.testing.assert_array_equal(pictures["train"][0], TRAIN.images[3])
    assert "Do not publish" in (out / "DO-NOT-PUBLISH.txt").read_text()
    with pytest.raises(MedgainError, match="holds an audit already"):
        write_audit(planted(), out)
    write_audit(planted(), out, overwrite=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(MedgainError, match="is no audit"):
        check_out(tmp_path / "thesis", overwrite=True)
    check_out(tmp_path / "new")
