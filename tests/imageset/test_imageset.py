"""The image set: what goes in comes out, and what doesn't fit is refused by name."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgain.imageset.imageset import Card, ImageSet, positive_class
from medgain.runtime.errors import DataError


def make(count=6, size=8, channels=1, dtype=np.uint8, seed=0, masks=False, **card):
    rng = np.random.default_rng(seed)
    top = np.iinfo(dtype).max
    return ImageSet.from_arrays(
        rng.integers(0, top, (count, size, size, channels), dtype=dtype, endpoint=True),
        labels=[("a", "b")[i % 2] for i in range(count)],
        groups=[f"g{i // 2}" for i in range(count)],
        masks=rng.integers(0, 3, (count, size, size), dtype=np.uint8) if masks else None,
        card=Card(name="test", classes=["a", "b"], **card),
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("masks", [False, True])
def test_saved_sets_open_to_the_same_content(tmp_path, dtype, channels, masks):
    made = make(channels=channels, dtype=dtype, masks=masks, positive="b", notes=["x"])
    opened = ImageSet.open(made.save(tmp_path / "set"))
    assert np.array_equal(opened.images, made.images)
    assert opened.records.equals(made.records)
    assert opened.card == made.card
    assert opened.fingerprint() == made.fingerprint()
    assert isinstance(opened.images, np.memmap)
    assert masks == (opened.masks is not None)


@given(st.lists(st.integers(0, 5), max_size=12, unique=True))
@settings(max_examples=30, deadline=None)
def test_take_keeps_images_and_records_together(rows):
    made = make()
    taken = made.take(rows, step="pick")
    assert [made.images[row].tolist() for row in rows] == taken.images.tolist()
    assert list(taken.records["image_id"]) == [f"{row:06d}" for row in rows]
    assert taken.card.history[-1] == {"step": "pick", "images": len(rows)}
    assert made.card.history == []


def test_take_understands_boolean_masks():
    made = make()
    assert made.take(made.label_codes == 1).label_codes.tolist() == [1, 1, 1]


def test_fingerprint_changes_with_any_content():
    made = make(masks=True)
    prints = {made.fingerprint(), make(seed=1, masks=True).fingerprint(), make().fingerprint()}
    for column in ("label", "group", "split"):
        records = made.records.copy()
        records.loc[0, column] = "b"
        prints.add(ImageSet(made.images, records, made.card, made.masks).fingerprint())
    assert len(prints) == 6
    assert made.take([1, 0, 2, 3, 4, 5]).fingerprint() not in prints


def test_join_keeps_everything_and_makes_ids_unique():
    joined = ImageSet.join([make(), make(seed=1)], name="both")
    assert len(joined) == 12
    assert joined.records["image_id"].is_unique
    assert joined.card.name == "both"
    with pytest.raises(DataError, match="different shapes"):
        ImageSet.join([make(), make(channels=3)])


def test_bad_content_is_refused_by_name():
    good = make()
    with pytest.raises(DataError, match=r"labels \['b'\] in 'test' are not among"):
        ImageSet(good.images, good.records, Card(name="test", classes=["a"]))
    with pytest.raises(DataError, match="6 images and 5 records"):
        ImageSet(good.images, good.records.iloc[:5], good.card)
    with pytest.raises(DataError, match="must be uint8 or uint16"):
        ImageSet(good.images.astype(np.float32), good.records, good.card)
    with pytest.raises(DataError, match=r"masks \(6, 4, 4\)"):
        ImageSet(good.images, good.records, good.card, np.zeros((6, 4, 4), np.uint8))
    twice = good.records.assign(image_id="same")
    with pytest.raises(DataError, match="'same' appears twice"):
        ImageSet(good.images, twice, good.card)
    with pytest.raises(DataError, match="positive class 'c'"):
        ImageSet(good.images, good.records, good.card.model_copy(update={"positive": "c"}))


def test_opening_what_is_no_set_or_damaged_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="not an image set.*medgain import"):
        ImageSet.open(tmp_path)
    path = make().save(tmp_path / "set")
    (path / "images.npy").write_bytes(b"\x93NUMPY garbage")
    with pytest.raises(DataError, match="damaged"):
        ImageSet.open(path)
    card = json.loads((path / "card.json").read_text())
    (path / "card.json").write_text(json.dumps({**card, "surprise": 1}))
    with pytest.raises(DataError, match="damaged"):
        ImageSet.open(path)


@pytest.mark.parametrize(
    ("classes", "named", "positive"),
    [
        (["normal", "pneumonia"], None, "pneumonia"),
        (["pneumonia", "normal"], None, "pneumonia"),
        (["melanoma", "nevus"], None, "melanoma"),
        (["melanoma", "nevus"], "nevus", "nevus"),
        (["melanoma", "nevus"], "gone", "melanoma"),
        (["a", "b"], None, "b"),
        (["normal", "benign"], None, "benign"),
        (["a", "b", "c"], None, "c"),
        (["a", "b", "c"], "b", "b"),
        (["a"], None, "a"),
    ],
)
def test_one_rule_decides_the_positive_class(classes, named, positive):
    assert positive_class(classes, named) == positive
    labels = [classes[i % len(classes)] for i in range(4)]
    card = Card(name="set", classes=classes, positive=named if named in classes else None)
    images = ImageSet.from_arrays(np.zeros((4, 4, 4, 1), np.uint8), labels=labels, card=card)
    assert images.positive_code == classes.index(positive)


def test_sets_whose_masks_mean_different_things_are_not_joined():
    def marked(name):
        pixels = np.zeros((1, 4, 4, 1), np.uint8)
        card = Card(name=name, mask_classes=[name])
        return ImageSet.from_arrays(pixels, masks=np.ones((1, 4, 4), np.uint8), card=card)

    with pytest.raises(DataError, match="masks mean different things"):
        ImageSet.join([marked("kidney"), marked("tumour")])
    assert len(ImageSet.join([marked("kidney"), marked("kidney")])) == 2
