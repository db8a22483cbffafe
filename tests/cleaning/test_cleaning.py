"""`clean`: what is dropped, flagged and filled in, what is written, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from medgain.cleaning.result import CleaningResult
from medgain.cleaning.run import clean as clean_set
from medgain.imageset.imageset import Card, ImageSet, content_hash
from medgain.phantoms import PHANTOMS
from medgain.runtime.errors import ConfigError, DataError, MedgainError
from medgain.runtime.records import read_record

ALL_KEPT = dict.fromkeys(
    ("duplicates", "blank", "unreadable", "rulers", "stickers", "dark-corners", "hairs"), "keep"
)


@pytest.fixture(scope="module")
def skin(tmp_path_factory):
    shares = {"duplicate_share": 0.1, "near_duplicate_share": 0.15, "blank_share": 0.05}
    made = PHANTOMS.get("skin").make(70, size_px=64, seed=6, hair_share=0.4, **shares)
    path = tmp_path_factory.mktemp("sets") / "skin"
    return made.save(path)


def clean(*sets, **options):
    """Return the cleaned set."""
    return clean_set(*sets, **options).images


def result_of(path):
    return json.loads((path / "cleaning.json").read_text())


def make(images, **given) -> ImageSet:
    """Return a set of images, (N, H, W, C)."""
    labels = given.pop("labels", ["a", "b"] * len(images))[: len(images)]
    history = given.pop("history", [])
    card = Card(name="toy", classes=sorted(set(labels)), history=history)
    return ImageSet.from_arrays(np.asarray(images), labels=labels, card=card, **given)


def noise(count, size=32, channels=3, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, (count, size, size, channels)).astype(dtype)


def test_the_record_on_disk_is_the_one_returned(skin, tmp_path):
    cleaned = clean_set(skin, tmp_path / "out")
    assert read_record(tmp_path / "out" / "cleaning.json", CleaningResult) == cleaned.result
    assert cleaned.result.kept == len(cleaned.images) == len(ImageSet.open(tmp_path / "out"))


def test_drops_copies_and_blank_images_and_flags_the_rest(skin, tmp_path):
    source = ImageSet.open(skin)
    before = {path.name: path.read_bytes() for path in skin.iterdir()}
    cleaned = clean(skin, tmp_path / "out")
    records = source.records.set_index("image_id")
    gone = set(records.index) - set(cleaned.records.image_id)
    assert set(records.index[records.artefact_blank == 1]) <= gone
    dropped = records.loc[sorted(gone)]
    assert ((dropped["copy"] != "") | (dropped.artefact_blank == 1)).mean() > 0.9
    assert cleaned.records.sha256.is_unique
    flagged = cleaned.records.clean_flags.str.contains("hairs")
    assert (flagged == (cleaned.records.clean_hairs_score >= 0.002)).all() and flagged.any()
    assert {path.name: path.read_bytes() for path in skin.iterdir()} == before, "only read"


def test_what_is_written_says_what_was_done_and_why(skin, tmp_path):
    source, cleaned = ImageSet.open(skin), clean(skin, tmp_path / "out")
    result, table = result_of(tmp_path / "out"), pd.read_csv(tmp_path / "out" / "cleaning.csv")
    kinds = [kind["kind"] for kind in result["kinds"] if kind["enabled"]]
    assert len(table) == len(source) * len(kinds)
    assert set(table.kind) == set(kinds) and set(table.image_id) == set(source.records.image_id)
    assert result["images"] == len(source) and result["kept"] == len(cleaned)
    for kind in result["kinds"]:
        assert kind["found"] == table.found[table.kind == kind["kind"]].sum()
    acted = table[table.action == "drop"]
    assert set(acted.image_id) == set(source.records.image_id) - set(cleaned.records.image_id)
    assert table.why[table.found].notna().all()
    step = cleaned.card.history[-1]
    assert step["step"] == "clean" and step["source_fingerprint"] == source.fingerprint()
    assert step["settings"]["hairs"]["action"] == "flag"
    assert cleaned.card.classes == source.card.classes and cleaned.card.origin == "phantom"
    with np.load(tmp_path / "out" / "cleaning.npz") as tiles:
        for kind, blocks in result["pictures"].items():
            assert max(n for block in blocks for n in block["tiles"]) == len(tiles[kind]) - 1


def test_masks_groups_splits_and_pixels_follow(skin, tmp_path):
    source, cleaned = ImageSet.open(skin), clean(skin, tmp_path / "out")
    place = {name: i for i, name in enumerate(source.records.image_id)}
    rows = [place[name] for name in cleaned.records.image_id]
    assert np.array_equal(cleaned.images, source.images[rows])
    assert np.array_equal(cleaned.masks, source.masks[rows])
    for column in ("label", "group", "split", "sha256", "mask_sha256", "hair_area"):
        assert list(cleaned.records[column]) == list(source.records[column].iloc[rows])


def test_hairs_are_filled_in_where_asked(skin, tmp_path):
    source = ImageSet.open(skin)
    cleaned = clean(skin, tmp_path / "out", {"hairs": "inpaint", "duplicates": "keep"})
    place = {name: i for i, name in enumerate(source.records.image_id)}
    filled = 0
    for i, row in cleaned.records.iterrows():
        same = np.array_equal(cleaned.images[i], source.images[place[row.image_id]])
        assert same == (row.clean_inpainted == "")
        assert row.sha256 == content_hash(cleaned.images[i])
        filled += not same
    assert filled == result_of(tmp_path / "out")["inpainted"] > 5
    assert filled == cleaned.records.clean_flags.str.contains("hairs").sum()
    again = clean(tmp_path / "out", tmp_path / "again")
    assert again.records.clean_hairs_score.mean() < 0.5 * cleaned.records.clean_hairs_score.mean()
    assert list(again.records.columns).count("clean_flags") == 1


def test_the_same_set_is_cleaned_alike_whatever_the_labels(skin, tmp_path):
    source = ImageSet.open(skin)
    swapped = source.records.assign(
        label=source.records.label.map({"melanoma": "nevus", "nevus": "melanoma"})
    )
    ImageSet(source.images, swapped, source.card, source.masks).save(tmp_path / "swapped")
    one = clean(skin, tmp_path / "one")
    two = clean(tmp_path / "swapped", tmp_path / "two")
    assert list(one.records.image_id) == list(two.records.image_id)
    assert list(one.records.clean_flags) == list(two.records.clean_flags)


def test_each_image_is_judged_by_itself(skin, tmp_path):
    source = ImageSet.open(skin)
    source.take(np.arange(0, len(source), 3)).save(tmp_path / "third")
    whole = clean(skin, tmp_path / "one", {"duplicates": "keep"}).records.set_index("image_id")
    third = clean(tmp_path / "third", tmp_path / "two", {"duplicates": "keep"}).records
    for row in third.itertuples():
        assert row.clean_flags == whole.clean_flags[row.image_id]
        assert row.clean_hairs_score == whole.clean_hairs_score[row.image_id]


# copies


def test_of_copies_the_test_image_the_largest_source_then_the_first_counts(tmp_path):
    base = noise(3)
    images = base[[0, 0, 1, 1, 2, 2]]
    made = make(
        images,
        labels=["a"] * 6,
        splits=["train", "test", "train", "train", "train", "train"],
        groups=list("AABBCC"),
        extra={"height_px": [9, 5, 5, 9, 5, 5], "width_px": [9, 5, 5, 9, 5, 5]},
    )
    cleaned = clean(made.save(tmp_path / "set"), tmp_path / "out")
    assert list(cleaned.records.image_id) == ["000001", "000003", "000004"]
    copies = result_of(tmp_path / "out")["copies"]
    assert ["test" in copies[0]["why"], "largest" in copies[1]["why"]] == [True, True]
    assert [copy["identical"] for copy in copies] == [True] * 3


def test_copies_with_different_labels_are_all_dropped(tmp_path):
    made = make(noise(3)[[0, 1, 1, 2]], labels=["a", "a", "b", "b"], groups=list("pqqr"))
    cleaned = clean(made.save(tmp_path / "set"), tmp_path / "out")
    assert list(cleaned.records.image_id) == ["000000", "000003"]
    result = result_of(tmp_path / "out")
    assert result["copies"][0]["kept"] is None and result["copies"][0]["labels"] == ["a", "b"]
    assert any("different labels" in text for text in result["warnings"])


def test_groups_of_copies_are_merged_and_this_is_said(tmp_path):
    images = np.concatenate([noise(4), noise(1)])  # the last is a copy of the first
    groups = ["p", "p", "q", "r", "s"]
    made = make(images, labels=["a"] * 5, groups=groups, splits=["train"] * 5)
    cleaned = clean(made.save(tmp_path / "set"), tmp_path / "out", {"duplicates": "flag"})
    assert list(cleaned.groups) == ["p", "p", "q", "r", "p"]
    assert cleaned.records.clean_flags.iloc[4].split(",")[0] == "duplicates"
    result = result_of(tmp_path / "out")
    assert result["merged_groups"] == 1
    assert any("groups were merged" in text for text in result["warnings"])
    table = pd.read_csv(tmp_path / "out" / "cleaning.csv")
    assert table.why[table.found].str.contains("p, s").any()


def test_a_copy_that_is_dropped_anyway_is_not_the_one_that_counts(tmp_path):
    skin = PHANTOMS.get("skin").make(
        40, size_px=128, seed=5, sticker_share=0.6, near_duplicate_share=0.5, hair_share=0
    )
    path = skin.save(tmp_path / "set")
    cleaned = clean(path, tmp_path / "out", {"stickers": "drop"})
    result = result_of(tmp_path / "out")
    left = set(cleaned.records.image_id)
    assert all(copy["kept"] in left for copy in result["copies"])


# hostile input


def test_a_set_of_blank_images_is_an_error_and_nothing_is_written(tmp_path):
    made = make(np.full((4, 20, 20, 3), 7, np.uint8), labels=["a"] * 4)
    with pytest.raises(DataError, match=r"all 4 images of 'toy' would be dropped \(blank 4\)") as e:
        clean(made.save(tmp_path / "set"), tmp_path / "out")
    assert "--blank flag" in e.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    kept = clean(tmp_path / "set", tmp_path / "out", {"blank": "flag", "duplicates": "keep"})
    assert list(kept.records.clean_flags) == ["blank"] * 4


def test_a_set_of_copies_keeps_one(tmp_path):
    made = make(noise(1)[[0] * 6], labels=["a"] * 6)
    cleaned = clean(made.save(tmp_path / "set"), tmp_path / "out")
    assert len(cleaned) == 1 and result_of(tmp_path / "out")["dropped"] == 5


def test_copies_that_all_contradict_are_an_error(tmp_path):
    made = make(noise(1)[[0, 0]], labels=["a", "b"])
    with pytest.raises(DataError, match="would be dropped"):
        clean(made.save(tmp_path / "set"), tmp_path / "out")


@pytest.mark.parametrize("channels", [1, 3])
def test_one_tiny_image(tmp_path, channels):
    made = make(noise(1, size=16, channels=channels), labels=["a"])
    cleaned = clean(made.save(tmp_path / "set"), tmp_path / "out")
    assert len(cleaned) == 1
    kinds = {kind["kind"]: kind for kind in result_of(tmp_path / "out")["kinds"]}
    if channels == 3:
        assert kinds["hairs"]["not_judged"] == 1 and kinds["hairs"]["found"] == 0
        assert np.isnan(cleaned.records.clean_hairs_score[0])
    else:
        assert "grey" in kinds["hairs"]["skipped"] and "grey" in kinds["stickers"]["skipped"]


def test_sixteen_bits_of_grey(tmp_path):
    images = noise(5, size=64, channels=1, dtype=np.uint16) // 16  # 12 bits in use
    images[2] = 1000
    images[2, 0, 0] = 1020
    made = make(images, labels=["a"] * 5)
    asked = {"hairs": "inpaint", "rulers": "flag", "stickers": "flag"}
    cleaned = clean(made.save(tmp_path / "set"), tmp_path / "out", asked)
    assert cleaned.images.dtype == np.uint16 and len(cleaned) == 4
    kinds = {kind["kind"]: kind for kind in result_of(tmp_path / "out")["kinds"]}
    assert kinds["blank"]["found"] == 1
    assert kinds["hairs"]["enabled"] and not kinds["stickers"]["enabled"]
    assert "needs colours" in kinds["stickers"]["skipped"]


def test_damaged_pixels_are_found_and_dropped(tmp_path):
    path = make(noise(5), labels=["a"] * 5).save(tmp_path / "set")
    stored = np.load(path / "images.npy", mmap_mode="r+")
    stored[3, 5, 5] ^= 255
    stored.flush()
    cleaned = clean(path, tmp_path / "out")
    assert list(cleaned.records.image_id) == ["000000", "000001", "000002", "000004"]
    asked = {"unreadable": "flag", "stickers": "keep"}
    flagged = clean(path, tmp_path / "flagged", asked)
    assert list(flagged.records.clean_flags) == ["", "", "", "unreadable", ""]


def test_a_cut_file_is_an_error(tmp_path):
    path = make(noise(5)).save(tmp_path / "set")
    content = (path / "images.npy").read_bytes()
    (path / "images.npy").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged"):
        clean(path, tmp_path / "out")


def test_padding_is_no_dark_corner(tmp_path):
    images = np.zeros((3, 64, 64, 3), np.uint8)
    images[:, 16:48] = np.clip(noise(3, size=64)[:, 16:48], 120, 255)
    step = {"step": "import", "size_px": 64, "fit": "pad", "unreadable": []}
    size = {"height_px": [300] * 3, "width_px": [600] * 3}
    made = make(images, labels=["a"] * 3, history=[step], extra=size)
    cleaned = clean(made.save(tmp_path / "set"), tmp_path / "out")
    assert (cleaned.records.clean_dark_corners_score == 0).all()
    made = make(images, labels=["a"] * 3)
    cleaned = clean(made.save(tmp_path / "bare"), tmp_path / "bare-out")
    assert (cleaned.records.clean_dark_corners_score > 0.4).all(), "nothing says it is padding"


def test_what_the_import_could_not_read_is_named(tmp_path):
    step = {"step": "import", "unreadable": [{"file": "x.jpg", "reason": "truncated"}]}
    path = make(noise(3), labels=["a"] * 3, history=[step]).save(tmp_path / "set")
    clean(path, tmp_path / "out")
    assert result_of(tmp_path / "out")["unreadable_at_import"] == step["unreadable"]


def test_a_class_that_is_emptied_is_named(tmp_path):
    images = noise(4)
    images[2:] = 0
    path = make(images, labels=["a", "a", "b", "b"]).save(tmp_path / "set")
    clean(path, tmp_path / "out")
    assert "no image of class 'b' is left" in result_of(tmp_path / "out")["warnings"]


def test_an_artefact_of_one_class_is_a_warning(tmp_path):
    made = PHANTOMS.get("skin").make(120, size_px=48, seed=1, dark_corner_share=0.5)
    label = np.where(made.records.artefact_dark_corner == 1, "melanoma", "nevus")
    ImageSet(made.images, made.records.assign(label=label), made.card).save(tmp_path / "set")
    clean(tmp_path / "set", tmp_path / "out")
    assert any(
        "dark-corners: in 100% of melanoma" in t for t in result_of(tmp_path / "out")["warnings"]
    )


@pytest.mark.parametrize("where", [".", "inside", ".."])
def test_the_source_is_never_written_to(tmp_path, where):
    path = make(noise(3)).save(tmp_path / "sets" / "set")
    with pytest.raises(ConfigError, match="is the set that is cleaned, or in it, or holds it"):
        clean(path, path / where, overwrite=True)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(ConfigError, match="is the set that is cleaned"):
        clean(path, link, overwrite=True)
    assert len(ImageSet.open(path)) == 3


def test_an_existing_folder_is_replaced_only_when_asked_and_only_a_set(tmp_path):
    path = make(noise(3), labels=["a"] * 3).save(tmp_path / "set")
    clean(path, tmp_path / "out")
    with pytest.raises(ConfigError, match="exists already"):
        clean(path, tmp_path / "out")
    assert len(clean(path, tmp_path / "out", overwrite=True)) == 3
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "love.txt").write_text("x")
    with pytest.raises(ConfigError, match="is no image set"):
        clean(path, tmp_path / "letters", overwrite=True)
    assert (tmp_path / "letters" / "love.txt").exists()


def test_a_read_only_set_is_cleaned(tmp_path):
    path = make(noise(3), labels=["a"] * 3).save(tmp_path / "set")
    for file in path.iterdir():
        file.chmod(0o444)
    path.chmod(0o555)
    try:
        assert len(clean(path, tmp_path / "out", {"hairs": "inpaint"})) == 3
    finally:
        path.chmod(0o755)


def test_nothing_asked_for_copies_the_set(skin, tmp_path):
    cleaned = clean(skin, tmp_path / "out", ALL_KEPT)
    assert cleaned.fingerprint() == ImageSet.open(skin).fingerprint()
    assert len(pd.read_csv(tmp_path / "out" / "cleaning.csv")) == 0
    assert (cleaned.records.clean_flags == "").all()


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"hair": "drop"}, "did you mean 'hairs'"),
        ({"hairs": "erase"}, "cannot be dealt with by 'erase'"),
        ({"dark-corners": "inpaint"}, "cannot be dealt with by 'inpaint'"),
        ({"duplicates": "inpaint"}, "cannot be dealt with"),
        ({"hairs": {"treshold": 1}}, "did you mean 'threshold'"),
        ({"hairs": {"threshold": "much"}}, "is no number"),
        ({"hairs": {"threshold": float("nan")}}, "is no number"),
        ({"hairs": {"threshold": 0}}, "in every image"),
        ({"duplicates": {"threshold": 1.2}}, "is no correlation"),
    ],
)
def test_refuses_what_it_cannot_do(skin, tmp_path, asked, match):
    with pytest.raises(ConfigError, match=match):
        clean(skin, tmp_path / "out", asked)
    assert not (tmp_path / "out").exists()


def test_what_is_no_set_is_refused(tmp_path):
    with pytest.raises(MedgainError, match="is not an image set"):
        clean(tmp_path, tmp_path.parent / "elsewhere-out")


def test_thresholds_are_heeded(skin, tmp_path):
    strict = clean(skin, tmp_path / "a", {"hairs": {"threshold": 0.05}})
    loose = clean(skin, tmp_path / "b", {"hairs": {"threshold": 1e-4, "action": "drop"}})
    assert (strict.records.clean_flags.str.contains("hairs")).sum() < len(strict) - len(loose)


def test_real_skin_has_few_copies_and_no_blank_image(medgain_data, tmp_path):
    from medgain.importing.run import import_images

    import_images(
        medgain_data / "skin", tmp_path / "set", size_px=64, table="metadata.csv",
        group_column="lesion_id", masks="masks",
    )  # fmt: skip
    source = ImageSet.open(tmp_path / "set")
    asked = dict.fromkeys(("hairs", "rulers"), "keep")
    cleaned = clean(tmp_path / "set", tmp_path / "out", asked)
    kinds = {kind["kind"]: kind["found"] for kind in result_of(tmp_path / "out")["kinds"]}
    assert 5 <= kinds["duplicates"] <= 60 and kinds["blank"] == kinds["unreadable"] == 0
    assert 0.08 < kinds["dark-corners"] / len(source) < 0.16
    assert kinds["stickers"] <= 3, "the archive is known to hold none"
    assert cleaned.masks is not None and cleaned.card.groups_known
