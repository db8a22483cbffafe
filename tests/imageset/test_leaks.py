"""The leak guard finds planted copies, and nothing among honest images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from medgain.imageset.imageset import Card, ImageSet
from medgain.imageset.leaks import (
    Leak,
    check_split,
    drop_leaks,
    find_duplicates,
    merge_near_duplicates_into_groups,
    raise_if_leaking,
)
from medgain.imageset.parts import own_parts
from medgain.runtime.errors import LeakError


def textures(count: int, seed: int = 0, side: int = 48) -> np.ndarray:
    """Smooth random images that share a common shape, as those of one body part do."""
    rng = np.random.default_rng(seed)
    common = gaussian_filter(rng.normal(size=(side, side)), 6) * 400
    own = gaussian_filter(rng.normal(size=(count, side, side)), (0, 1.5, 1.5)) * 120
    return np.clip(128 + common + own, 0, 255).astype(np.uint8)[..., None]


def re_encoded(image: np.ndarray, quality: int = 60) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0]).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))[..., None]


def make_set(images: np.ndarray, splits: list[str], **columns: list[str]) -> ImageSet:
    labels = columns.pop("labels", ["a", "b"] * (len(images) // 2) + ["a"] * (len(images) % 2))
    card = Card(name="toy", classes=sorted(set(labels)))
    return ImageSet.from_arrays(images, labels=labels, splits=splits, card=card, **columns)


def test_honest_images_are_no_duplicates() -> None:
    report = find_duplicates(make_set(textures(300), [""] * 300), mirrored=True)
    assert report.identical == []
    assert report.near == []


@pytest.mark.parametrize("quality", [90, 60, 30])
def test_re_encoded_copies_are_found(quality: int) -> None:
    images = textures(40)
    copies = np.stack([re_encoded(image, quality) for image in images[:10]])
    report = find_duplicates(make_set(np.concatenate([images, copies]), [""] * 50))
    assert [(pair.first, pair.second) for pair in report.near] == [(i, 40 + i) for i in range(10)]
    assert all(pair.correlation >= 0.95 for pair in report.near)


def test_mirrored_copies_are_found_when_asked_for() -> None:
    images = textures(20)
    whole = np.concatenate([images, images[3:4, :, ::-1]])
    image_set = make_set(whole, [""] * 21)
    assert find_duplicates(image_set).near == []
    (pair,) = find_duplicates(image_set, mirrored=True).near
    assert (pair.first, pair.second, pair.mirrored) == (3, 20, True)


def test_brighter_deeper_and_coloured_copies_are_found() -> None:
    images = textures(20)
    brighter = np.clip(images[:1] * 1.1 + 15, 0, 255).astype(np.uint8)
    grey = make_set(np.concatenate([images, brighter]), [""] * 21)
    deep = make_set(grey.images.astype(np.uint16) * 200, [""] * 21)
    colour = make_set(grey.images.repeat(3, axis=3), [""] * 21)
    for image_set in (grey, deep, colour):
        assert [(pair.first, pair.second) for pair in find_duplicates(image_set).near] == [(0, 20)]


def test_common_bars_and_blank_images_make_no_duplicates() -> None:
    images = textures(60)
    images[:, :10] = images[:, -10:] = 0  # padding bars, alike in every image
    images[50:] = np.arange(10, 20, dtype=np.uint8)[:, None, None, None]  # blank, each its grey
    assert find_duplicates(make_set(images, [""] * 60)).near == []


def test_tiny_sets_have_no_duplicates() -> None:
    assert find_duplicates(make_set(textures(1), [""])).near == []
    assert find_duplicates(make_set(textures(1)[:0], [], labels=[])).identical == []


@pytest.fixture
def planted() -> ImageSet:
    """30 training and 10 test images with one leak of each kind planted.

    A test image in train (1 = 31), a patient in both (groups of 2 and 32), a re-encoded copy
    (3 ≈ 33), and contradicting labels (4 = 5).
    """
    images = textures(40)
    images[1], images[5] = images[31], images[4]
    images[3] = re_encoded(images[33])
    groups = [f"g{i}" for i in range(40)]
    groups[32] = "g2"
    labels = ["a", "b"] * 20
    labels[3], labels[4], labels[5] = labels[33], "a", "b"
    return make_set(images, ["train"] * 30 + ["test"] * 10, groups=groups, labels=labels)


def by_kind(leaks: list[Leak]) -> dict[str, tuple[str, ...]]:
    return {leak.kind: leak.image_ids for leak in leaks}


def test_all_four_kinds_are_named(planted: ImageSet) -> None:
    found = by_kind(check_split(planted, own_parts(planted)))
    assert found == {
        "group": ("000002", "000032"),
        "identical": ("000001", "000031"),
        "near-identical": ("000003", "000033"),
        "contradiction": ("000004", "000005"),
    }


def test_the_error_names_kinds_images_parts_and_remedy(planted: ImageSet) -> None:
    with pytest.raises(LeakError) as caught:
        raise_if_leaking(check_split(planted, own_parts(planted)))
    for text in ("group 'g2' in two parts: train has 000002; test has 000032", "1 × identical"):
        assert text in caught.value.problem
    assert "different labels (a, b): train has 000004, 000005" in caught.value.problem
    assert "--on-leak drop" in caught.value.remedy


def test_a_clean_split_raises_nothing(planted: ImageSet) -> None:
    clean = planted.take([0, 6, 7, 8, 34, 35])
    raise_if_leaking(check_split(clean, own_parts(clean)))


def test_dropping_takes_from_training_only_and_leaves_a_clean_split(planted: ImageSet) -> None:
    parts = own_parts(planted)
    cleaned, record = drop_leaks(planted, parts, check_split(planted, parts))
    assert record["dropped"] == {"train": [f"00000{i}" for i in (1, 2, 3, 4, 5)]}
    assert cleaned["test"].tolist() == parts["test"].tolist()
    assert sorted({*parts["train"]} - {*cleaned["train"]}) == [1, 2, 3, 4, 5]
    assert check_split(planted, cleaned) == []


def test_an_image_in_two_parts_is_named_and_dropped() -> None:
    image_set = make_set(textures(6), [""] * 6)
    parts = {"train": np.array([0, 1, 2]), "val": np.array([2, 3]), "test": np.array([3, 4, 5])}
    leaks = check_split(image_set, parts)
    assert [(leak.kind, leak.parts) for leak in leaks] == [
        ("same image", ("train", "val")),
        ("same image", ("val", "test")),
    ]
    cleaned, _ = drop_leaks(image_set, parts, leaks)
    assert [part.tolist() for part in cleaned.values()] == [[0, 1], [2], [3, 4, 5]]


def test_a_contradiction_within_the_test_part_cannot_be_dropped() -> None:
    images = textures(6)
    images[5] = images[4]
    image_set = make_set(images, ["train"] * 4 + ["test"] * 2)
    leaks = check_split(image_set, own_parts(image_set))
    with pytest.raises(LeakError, match="1 × contradiction"):
        drop_leaks(image_set, own_parts(image_set), leaks)


def test_copies_of_a_near_duplicate_speak_too() -> None:
    images = textures(8)
    images[1] = images[0]
    images[7] = re_encoded(images[0])
    image_set = make_set(images, ["train"] * 7 + ["test"], labels=["a"] * 8)
    parts = {"train": np.arange(1, 7), "test": np.array([7])}  # without the first copy
    (leak,) = check_split(image_set, parts, find_duplicates(image_set))
    assert (leak.kind, leak.positions) == ("near-identical", (1, 7))


def test_merging_makes_duplicates_one_group() -> None:
    images = textures(10)
    images[9], images[8] = images[0], re_encoded(images[0])
    image_set = make_set(images, [""] * 10, groups=[f"g{i}" for i in range(9)] + ["g5"])
    merged = merge_near_duplicates_into_groups(image_set)
    assert " ".join(merged.groups) == "g0 g1 g2 g3 g4 g0 g6 g7 g0 g0"
    assert merged.card.history[-1]["step"] == "merge_near_duplicates"
    assert image_set.groups[9] == "g5"  # the set itself is as it was
    assert merge_near_duplicates_into_groups(image_set.take(range(1, 8))).card.history == []


def test_real_x_rays_planted_leaks_are_all_named(medgain_data: Path, tmp_path: Path) -> None:
    from medgain.importing.run import import_images

    source = medgain_data / "chestxray"
    root = tmp_path / "chestxray"
    for part in ("train", "test"):
        for label in ("normal", "pneumonia"):
            folder = root / part / label
            folder.mkdir(parents=True)
            for file in sorted((source / part / label).iterdir())[:60]:
                (folder / file.name).symlink_to(file)
    test_normal = sorted((root / "test/normal").iterdir())
    train_normal = sorted((root / "train/normal").iterdir())
    train_pneumonia = sorted((root / "train/pneumonia").iterdir())
    (root / "train/normal/IM-9001-0001.jpg").symlink_to(test_normal[0].resolve())
    Image.open(test_normal[1]).save(root / "train/normal/IM-9002-0001.jpg", quality=50)
    (root / "train/pneumonia/person9003_virus_1.jpg").symlink_to(train_normal[0].resolve())
    twin = root / "test/pneumonia" / train_pneumonia[0].name
    twin.symlink_to(train_pneumonia[1].resolve())

    image_set = import_images(root, tmp_path / "set", size_px=64, strict_groups=True)
    honest = {leak.detail for leak in check_split(image_set, own_parts(image_set))}
    found = [leak.describe() for leak in check_split(image_set, own_parts(image_set))]
    text = "\n".join(found)
    assert "identical images in two parts: train has train/normal/IM-9001-0001; test has" in text
    assert "near-identical images" in text
    assert "IM-9002-0001" in text
    assert "identical images with different labels (normal, pneumonia)" in text
    person = train_pneumonia[0].name.split("_")[0]
    assert f"group '{person}' in two parts" in text
    assert sum("near-identical" in detail for detail in honest) == 1  # no false alarm beside it


def test_a_group_in_three_parts_leaves_both_training_parts():
    """Of train, val and test only test keeps its image: val chooses weights and thresholds."""
    image_set = make_set(
        textures(8),
        ["train", "train", "train", "val", "val", "test", "test", "test"],
        groups=["p1", "p2", "p3", "p1", "p4", "p1", "p5", "p6"],
    )
    parts = own_parts(image_set)
    cleaned, record = drop_leaks(image_set, parts, check_split(image_set, parts))
    assert {name: rows.tolist() for name, rows in cleaned.items()} == {
        "train": [1, 2],
        "val": [4],
        "test": [5, 6, 7],
    }
    assert {name: len(ids) for name, ids in record["dropped"].items()} == {"train": 1, "val": 1}
