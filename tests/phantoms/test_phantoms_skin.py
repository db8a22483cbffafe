"""The skin phantom: classes that overlap, known artefacts, and copies."""

from __future__ import annotations

import numpy as np
import pytest

from medgain.phantoms import PHANTOMS
from medgain.phantoms.skin.artefacts import STICKERS
from medgain.runtime.errors import ConfigError

SKIN = PHANTOMS.get("skin")
BARE = {"hair_share": 0, "ruler_share": 0, "sticker_share": 0, "dark_corner_share": 0}


@pytest.fixture(scope="module")
def bare():
    return SKIN.make(60, size_px=48, seed=2, **BARE)


def test_shares_of_classes_and_splits_are_kept():
    made = SKIN.make(300, size_px=16, seed=1, prevalence=0.25, test_fraction=0.4)
    assert abs((made.records.label == "melanoma").mean() - 0.25) < 0.03
    assert abs((made.records.split == "test").mean() - 0.4) < 0.03
    for column in ("label", "split"):
        assert (made.records.groupby("group")[column].nunique() == 1).all()
    assert made.records.groupby("group").size().max() > 1, "several images of a lesion"


def test_masks_hold_a_lesion_that_is_darker_than_the_skin(bare):
    darker = []
    for image, mask in zip(bare.images, bare.masks, strict=True):
        assert 0 < mask.mean() < 0.9
        grey = image.mean(axis=2)
        darker.append(grey[mask == 1].mean() < grey[mask == 0].mean())
    assert np.mean(darker) > 0.97


def test_melanomas_are_less_regular_than_nevi():
    made = SKIN.make(150, size_px=32, seed=4, **BARE, max_images_per_lesion=1)
    spread = np.array([image[mask == 1].std(axis=0).mean() for image, mask in _lesions(made)])
    melanoma = (made.records.label == "melanoma").to_numpy()
    assert spread[melanoma].mean() > 1.15 * spread[~melanoma].mean()
    assert spread[melanoma].min() < spread[~melanoma].max(), "the classes overlap"


def test_at_severity_0_the_label_changes_no_pixel():
    few = SKIN.make(30, size_px=16, severity=0, prevalence=0.2)
    many = SKIN.make(30, size_px=16, severity=0, prevalence=0.8)
    assert (few.records.label != many.records.label).any()
    assert np.array_equal(few.images, many.images)


@pytest.mark.parametrize("name", ["hair", "ruler", "sticker", "dark_corner"])
def test_an_artefact_is_drawn_over_the_same_skin_and_recorded(bare, name):
    made = SKIN.make(60, size_px=48, seed=2, **{**BARE, f"{name}_share": 0.5})
    there = made.records[f"artefact_{name}"].to_numpy() == 1
    changed = (made.images != bare.images).any(axis=(1, 2, 3))
    assert 15 <= there.sum() <= 40
    assert changed[there].all()
    # what is drawn and can hardly be seen counts as not there
    assert changed[~there].sum() <= 8
    others = [c for c in made.records if c.startswith("artefact_") and c != f"artefact_{name}"]
    assert not made.records[others].to_numpy().any()


def test_hair_and_stickers_are_described():
    made = SKIN.make(80, size_px=48, hair_share=0.5, sticker_share=0.5)
    hair = made.records.artefact_hair == 1
    assert (made.records.hair_area[hair] > 0).all()
    sticker = made.records.artefact_sticker == 1
    assert set(made.records.sticker_colour[sticker]) == set(STICKERS)
    assert (made.records.sticker_colour[~sticker] == "").all()


def test_blank_images_have_hardly_any_contrast():
    made = SKIN.make(60, size_px=32, blank_share=0.3)
    blank = made.records.artefact_blank.to_numpy() == 1
    contrast = np.ptp(made.images.astype(int), axis=(1, 2)).max(axis=1)
    assert 8 <= blank.sum() <= 30
    assert contrast[blank].max() < 10 < contrast[~blank].min()
    assert not made.masks[blank].any()


def test_copies_follow_their_originals():
    made = SKIN.make(90, size_px=32, duplicate_share=0.3, near_duplicate_share=0.3)
    records = made.records.set_index("image_id")
    copies = records[records["copy"] != ""]
    assert {"exact", "compressed", "brighter", "noisy", "resampled"} == set(copies["copy"])
    for image_id, row in copies.iterrows():
        original = records.loc[row.copy_of]
        assert original.group == row.group and original.split == row.split, image_id
        assert (original.sha256 == row.sha256) == (row["copy"] == "exact")


def test_one_lesion_looks_the_same_at_every_size():
    small = SKIN.make(6, size_px=64, seed=9, **BARE).images.astype(float)
    large = SKIN.make(6, size_px=128, seed=9, **BARE).images.astype(float)
    shrunk = large.reshape(6, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 4


@pytest.mark.parametrize(
    ("option", "value"),
    [("hair_share", 1.5), ("prevalence", 0), ("max_images_per_lesion", 0), ("severity", -1)],
)
def test_refuses_an_option_out_of_range(option, value):
    with pytest.raises(ConfigError, match=option):
        SKIN.make(2, **{option: value})


def _lesions(made):
    return list(zip(made.images.astype(float), made.masks, strict=True))
