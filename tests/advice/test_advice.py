"""Advice on sets of every kind: what it says, and that a study takes its plan."""

from __future__ import annotations

import json

import numpy as np
import pytest

from advice_sets import make_set, patients
from medgain import ImageSet, Study
from medgain.advice.advice import advise
from medgain.advice.lines import advice_lines
from medgain.advice.plan_file import write_plan
from medgain.runtime.errors import ConfigError, DataError, MedgainError


def ask(images: ImageSet, folder, **options):
    images.save(folder / "set")
    return advise(folder / "set", probe=False, device="cpu", workers=1, **options)


def kinds(advice) -> set[str]:
    return {one.kind for one in advice.cautions}


def two_classes(count: int, **options) -> ImageSet:
    labels = ["ill" if number // 2 % 3 == 0 else "well" for number in range(count)]
    return make_set(labels, groups=patients(count), positive="ill", **options)


def with_test_part(count: int, **options) -> ImageSet:
    splits = ["test" if number // 2 % 5 == 4 else "train" for number in range(count)]
    return two_classes(count, splits=splits, **options)


AWKWARD = {
    "twenty images": lambda: two_classes(20),
    "no groups": lambda: make_set(["ill", "well"] * 40),
    "16 bit": lambda: two_classes(120, dtype=np.uint16),
    "colour": lambda: two_classes(120, channels=3),
    "unsquare": lambda: two_classes(120, size=(16, 24)),
    "large for generators": lambda: two_classes(60, size=(40, 40)),
    "masks only": lambda: make_set(None, count=40, masks=True, groups=patients(40)),
    "masks without groups": lambda: make_set(None, count=12, masks=True),
    "masks and labels": lambda: two_classes(60, masks=True),
    "16-bit masks of 64 px": lambda: make_set(
        None, count=60, masks=True, dtype=np.uint16, size=(64, 64), groups=patients(60)
    ),
    "three classes": lambda: make_set(["a", "b", "c"] * 40, groups=patients(120, 3)),
    "a test part": lambda: with_test_part(160),
    "a phantom": lambda: two_classes(80, origin="phantom"),
    "imbalanced": lambda: make_set(["ill"] * 12 + ["well"] * 228, groups=patients(240)),
    "odd names": lambda: make_set(["été: #1", "a/b\\c"] * 30, name="x: {y}\n# z"),
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_every_awkward_set_gets_a_plan_that_a_study_can_run(kind, tmp_path):
    advice = ask(AWKWARD[kind](), tmp_path)
    assert advice.problem == ""
    path = write_plan(advice, tmp_path / "plan.yaml")
    study = Study.load(path, overrides={"runtime": {"device": "cpu"}})
    counted = sum(advice.cost.stages.values())
    outline = study.outline()
    assert f"{len(study.plan.arms)} arms" in outline[1]
    stages = [int(word) for word in outline[1].split("to run are ")[1].split() if word.isdigit()]
    assert sum(stages) == counted
    for width in (60, 72, 80, 200):
        lines = advice_lines(advice, width)
        wide = [line for line in lines if len(line) > min(width, 80)]
        assert all(line.startswith("medgain ") for line in wide)  # a command can't be broken
    assert json.loads(json.dumps(advice.as_dict()))["plan"] == advice.suggestion.plan()


HOPELESS = {
    "one class": (lambda: make_set(["ill"] * 30), "two classes"),
    "one image per class": (lambda: make_set(["ill", "well"]), "group"),
    "a class that is only named": (
        lambda: make_set(["ill"] * 30, classes=["ill", "well"]),
        "class 'ill'",
    ),
    "a class that is never tested": (
        lambda: make_set(
            ["ill", "well"] * 20,
            splits=["test" if n % 2 == 0 and n > 30 else "train" for n in range(40)],
        ),
        "class 'well'",
    ),
    "one patient": (lambda: make_set(["ill", "well"] * 10, groups=["p"] * 20), "group"),
    "nothing marked": (
        lambda: make_set(None, count=1, masks=True),
        "group",
    ),
}


@pytest.mark.parametrize("kind", HOPELESS)
def test_where_no_study_can_run_it_says_why_and_what_to_do(kind, tmp_path):
    make, word = HOPELESS[kind]
    advice = ask(make(), tmp_path)
    assert word in advice.problem and advice.remedy and advice.suggestion is None
    text = "\n".join(advice_lines(advice, 60))
    assert "NO STUDY CAN RUN ON THIS SET" in text and "TRY FIRST" not in text
    with pytest.raises(DataError, match="no plan was written"):
        write_plan(advice, tmp_path / "plan.yaml")
    assert not (tmp_path / "plan.yaml").exists()
    assert advice.as_dict()["plan"] is None


def test_a_set_without_labels_and_masks_is_refused_at_once(tmp_path):
    with pytest.raises(DataError, match="no labels"):
        ask(make_set(None, count=5), tmp_path)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (lambda: make_set([]), {}, "empty"),
        (lambda: two_classes(20), {"task": "segmentation"}, "no masks"),
        (lambda: two_classes(20), {"task": "regression"}, "unknown task"),
        (lambda: two_classes(20), {"auroc": 0.5}, "can't be expected"),
        (lambda: two_classes(20), {"hours": 0}, "more than 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(images, options, message, tmp_path):
    with pytest.raises((DataError, ConfigError), match=message):
        ask(images(), tmp_path, **options)


def test_flips_are_off_for_chests_and_on_for_skin_and_off_where_nothing_is_known(tmp_path):
    chest = ask(two_classes(80, modality="chest X-ray"), tmp_path / "a")
    skin = ask(two_classes(80), tmp_path / "b", modality="dermoscopy")
    unknown = ask(two_classes(80), tmp_path / "c")
    first = [one.as_dict()["try_first"] for one in (chest, skin, unknown)]
    assert [one["flips"] for one in first] == [False, True, False]
    assert [chest.suggestion.policy.name, skin.suggestion.policy.name] == [
        "pneumonia-e1",
        "skin-d6",
    ]
    assert first[2]["policy"] == unknown.suggestion.policy.settings


@pytest.mark.parametrize(
    ("card", "policy"),
    [
        ({"classes": ["normal", "pneumonia"]}, "pneumonia-e1"),
        ({"classes": ["normal", "pneumonia"], "modality": "CT"}, "ct"),
        ({"modality": "CT"}, "ct"),
        ({"classes": ["melanoma", "nevus"]}, "skin-d6"),
        ({"modality": "electron microscopy"}, ""),
    ],
)
def test_what_the_images_show_is_read_from_the_card(card, policy, tmp_path):
    names = card.get("classes", ["a", "b"])
    labels = [names[number // 2 % 2] for number in range(80)]
    advice = ask(make_set(labels, **{**card, "classes": names}), tmp_path)
    assert advice.suggestion.policy.name == policy


def test_masks_say_which_organ(tmp_path):
    for organ, policy in (("kidney", "kidney-a4"), ("left lung", "lung-c3"), ("spleen", "ct")):
        images = make_set(None, count=40, masks=True, modality="CT", mask_classes=[organ])
        assert ask(images, tmp_path / organ).suggestion.policy.name == policy


def test_masks_lead_to_segmentation_unless_labels_are_asked_for(tmp_path):
    images = two_classes(60, masks=True)
    first = ask(images, tmp_path / "a")
    other = ask(images, tmp_path / "b", task="classification")
    assert first.suggestion.plan()["task"]["kind"] == "segmentation"
    assert other.suggestion.plan()["task"]["kind"] == "classification"
    assert any("--task classification" in line for line in advice_lines(first))


def test_what_is_to_be_minded(tmp_path):
    splits = ["test" if number % 12 == 0 else "train" for number in range(120)]
    advice = ask(make_set(["ill", "well", "well"] * 40, splits=splits), tmp_path)
    assert {"groups-unknown", "few-tested"} <= kinds(advice)
    few = next(one for one in advice.cautions if one.kind == "few-tested")
    assert "10 groups" in few.text and "± 25 points" in few.text
    imbalanced = ask(AWKWARD["imbalanced"](), tmp_path / "more")
    assert "imbalance" in kinds(imbalanced) and imbalanced.facts.imbalance == 19
    assert "phantom" in kinds(ask(AWKWARD["a phantom"](), tmp_path / "phantom"))


def test_leaks_and_duplicates_are_named_and_the_plan_drops_them(tmp_path):
    images = with_test_part(160)
    pixels = np.array(images.images)
    train, test = np.flatnonzero(images.splits == "train"), np.flatnonzero(images.splits == "test")
    labels = images.records["label"].to_numpy()
    same = next(row for row in train if labels[row] == labels[test[0]])
    pixels[same] = pixels[test[0]]
    leaking = ImageSet.from_arrays(
        pixels,
        labels=list(labels),
        groups=list(images.groups),
        splits=list(images.splits),
        card=images.card,
    )
    advice = ask(leaking, tmp_path)
    assert {"leaks", "duplicates"} <= kinds(advice)
    assert advice.suggestion.plan()["protocol"]["on_leak"] == "drop"
    clean = ask(images, tmp_path / "clean")
    assert not {"leaks", "duplicates"} & kinds(clean)
    assert "on_leak" not in clean.suggestion.plan()["protocol"]


def test_a_frame_that_tells_the_class_is_a_shortcut(tmp_path):
    images = with_test_part(240)
    pixels = np.array(images.images)
    ill = (images.records["label"] == "ill").to_numpy()
    framed = ill & (images.splits == "train")
    pixels[framed, :1] = 255

    def described(which):
        return ImageSet.from_arrays(
            which,
            labels=list(images.records["label"]),
            groups=list(images.groups),
            splits=list(images.splits),
            card=images.card,
        )

    found = ask(described(pixels), tmp_path / "a")
    assert found.shortcut.frame > 0.95 and "shortcut" in kinds(found)
    # framed in the test part alone: nobody looks there
    elsewhere = np.array(images.images)
    elsewhere[ill & (images.splits == "test"), :1] = 255
    hidden = ask(described(elsewhere), tmp_path / "b")
    assert hidden.shortcut.frame < 0.7 and "shortcut" not in kinds(hidden)


def test_labels_of_the_test_part_are_counted_and_change_nothing_else(tmp_path):
    images = with_test_part(200)
    labels = images.records["label"].to_numpy(dtype=object).copy()
    test = np.flatnonzero(images.splits == "test")
    # whole patients change places, so that images and groups by class stay as many
    ill = [row for row in test if labels[row] == "ill"]
    well = [row for row in test if labels[row] == "well"][: len(ill)]
    for a, b in zip(ill, well, strict=True):
        labels[a], labels[b] = labels[b], labels[a]
    other = ImageSet.from_arrays(
        np.asarray(images.images),
        labels=list(labels),
        groups=list(images.groups),
        splits=list(images.splits),
        card=images.card,
    )
    assert (labels[test] != images.records["label"].to_numpy()[test]).any()
    one, two = ask(images, tmp_path / "a"), ask(other, tmp_path / "b")
    left, right = one.as_dict(), two.as_dict()
    for found in (left, right):
        found["set"].pop("path"), found["plan"].pop("dataset"), found.pop("machine")
    assert left == right


def test_generators_are_left_out_where_they_cannot_learn_and_it_says_why(tmp_path):
    for kind, word in (
        ("twenty images", "too few"),
        ("unsquare", "square images"),
        ("large for generators", "--size"),
    ):
        advice = ask(AWKWARD[kind](), tmp_path / kind.replace(" ", "-"))
        assert advice.suggestion.generator is None and word in advice.suggestion.no_generator
        assert "generators" not in advice.suggestion.plan()
        assert any(word in line for line in advice_lines(advice, 80))


def test_more_test_patients_and_more_seeds_find_smaller_gains(tmp_path):
    small, large = (
        ask(with_test_part(160), tmp_path / "a"),
        ask(with_test_part(640), tmp_path / "b"),
    )
    for found in (small.foresight, large.foresight):
        assert found.low == sorted(found.low, reverse=True)
        assert all(low < high for low, high in zip(found.low, found.high, strict=True))
        assert all(a < b for a, b in zip(found.low, found.low_all, strict=True))
    assert large.foresight.low[-1] < small.foresight.low[-1]
    assert "power" in kinds(small)


def test_an_existing_plan_is_not_replaced_unasked(tmp_path):
    advice = ask(two_classes(40), tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        write_plan(advice, path)
    assert path.read_text() == "mine"
    assert write_plan(advice, path, overwrite=True).read_text().startswith("# Written by")
    with pytest.raises(ConfigError, match="is a folder"):
        write_plan(advice, tmp_path, overwrite=True)


def test_a_missing_set_is_a_clear_error(tmp_path):
    with pytest.raises(MedgainError, match="nowhere"):
        advise(tmp_path / "nowhere", probe=False)
