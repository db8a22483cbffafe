"""Copies are found whatever was done to them, and the fast search equals the slow one."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from medgain.metrics.memorisation.features import (
    gradient_features,
    nearest_by_features,
    scale_features,
)
from medgain.metrics.memorisation.search import nearest_by_pixels
from medgain.metrics.memorisation.views import POSES, Pose, make_views, posed
from medgain.runtime.errors import DataError

SIDE = 64


def textures(count: int, seed: int, side: int = SIDE) -> np.ndarray:
    """Smooth blobs: structures of a few pixels, as in an X-ray, (count, side, side, 1) uint8."""
    rng = np.random.default_rng(seed)
    fields = []
    for _ in range(count):
        field = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), 2.5 * side / 64)
        fields.append(110 + 90 * field / (3 * field.std()))
    return np.clip(np.stack(fields), 0, 255).astype(np.uint8)[..., None]


def moved(image: np.ndarray, degrees: float = 0.0, right: float = 0.0) -> np.ndarray:
    middle = (image.shape[0] - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), degrees, 1)
    matrix[0, 2] += right
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exact": lambda image: image,
    "mirrored": lambda image: image[:, ::-1],
    "shifted": lambda image: moved(image, right=3),
    "re-encoded": jpeg,
    "brighter": lambda image: np.clip(image * 1.1, 0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.9).astype(np.uint8),
    "rotated": lambda image: moved(image, 5),
    "all at once": lambda image: moved(np.ascontiguousarray(image[:, ::-1]), -4, 2),
}
REFERENCES = textures(60, 0)
VIEWS = make_views(REFERENCES)
HELD_OUT = nearest_by_pixels(make_views(textures(20, 1)), VIEWS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_copy_is_far_nearer_than_other_images(kind: str) -> None:
    copies = np.stack([KINDS[kind](image[..., 0]) for image in REFERENCES[:12]])[..., None]
    found = nearest_by_pixels(make_views(copies), VIEWS)
    assert found.index.tolist() == list(range(12))
    assert found.distance.max() < 0.5 * HELD_OUT.distance.min()
    assert (found.mirrored == (kind in ("mirrored", "all at once"))).all()


def test_other_images_are_far() -> None:
    assert HELD_OUT.distance.min() > 0.3
    assert HELD_OUT.distance.max() < 1.0


def test_matrix_lays_the_image_over_its_twin() -> None:
    shifted = np.stack([moved(image[..., 0], right=3) for image in REFERENCES[:4]])[..., None]
    views = make_views(shifted)
    found = nearest_by_pixels(views, VIEWS)
    for row in range(4):
        laid = posed(views.detailed[row], np.vstack([found.matrix[row], [0, 0, 1]]))
        inner = np.s_[10:54, 10:54]
        together = np.corrcoef(laid[inner].ravel(), VIEWS.detailed[row][inner].ravel())[0, 1]
        assert together > 0.95
        assert abs(found.matrix[row][0, 2] - 3) < 1.0


def test_candidates_equal_a_search_over_all() -> None:
    queries = make_views(textures(6, 5))
    fast = nearest_by_pixels(queries, VIEWS, candidates=8)
    slow = nearest_by_pixels(queries, VIEWS, candidates=60, aligned=60)
    assert (fast.distance >= slow.distance - 1e-9).all()
    assert np.median(fast.distance - slow.distance) < 0.1


def test_more_references_than_a_block_and_blocks_of_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = nearest_by_pixels(make_views(REFERENCES[:10]), VIEWS)
    search = "medgain.metrics.memorisation.search."
    for name, size in (("_QUERY_BLOCK", 3), ("_REFERENCE_BLOCK", 17), ("_TILE", 5)):
        monkeypatch.setattr(search + name, size)
    parts = nearest_by_pixels(make_views(REFERENCES[:10]), VIEWS)
    assert parts.index.tolist() == whole.index.tolist()
    np.testing.assert_allclose(parts.distance, whole.distance, atol=1e-4)


def test_own_group_is_passed_over() -> None:
    codes = np.arange(60) // 2
    found = nearest_by_pixels(make_views(REFERENCES[:6]), VIEWS, groups=(codes[:6], codes))
    assert (codes[found.index] != codes[:6]).all()
    assert found.distance.min() > 0.2
    with pytest.raises(DataError, match="outside its own group"):
        nearest_by_pixels(
            make_views(REFERENCES[:2]), VIEWS, groups=(np.zeros(2, int), np.zeros(60, int))
        )


def test_colour_16_bit_and_other_sizes_are_compared() -> None:
    deep = REFERENCES[:5].astype(np.uint16) * 16
    assert nearest_by_pixels(make_views(deep), VIEWS).distance.max() < 0.01
    colour = np.repeat(REFERENCES[:5], 3, axis=3)
    assert nearest_by_pixels(make_views(colour), VIEWS).distance.max() < 0.01
    large = textures(4, 9, side=128)
    small = textures(4, 9, side=32)
    for images in (large, small):
        views = make_views(images)
        assert views.detailed.shape == (4, 64, 64)
        assert nearest_by_pixels(views, views).distance.max() < 1e-3


def test_constant_images_resemble_nothing() -> None:
    blank = make_views(np.full((2, 64, 64, 1), 200, np.uint8))
    assert not blank.detailed.any()
    assert nearest_by_pixels(blank, VIEWS).distance.tolist() == [1.0, 1.0]
    assert nearest_by_pixels(make_views(REFERENCES[:2]), blank).distance.tolist() == [1.0, 1.0]


def test_no_reference_and_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="no reference"):
        nearest_by_pixels(VIEWS, make_views(np.zeros((0, 64, 64, 1), np.uint8)))
    with pytest.raises(DataError, match="shape"):
        make_views(np.zeros((4, 64, 64), np.uint8))
    assert len(nearest_by_pixels(make_views(REFERENCES[:0]), VIEWS).distance) == 0


@pytest.mark.parametrize("pose", [POSES[0], POSES[5], Pose(True, 7.0, 3.0, -2.0)])
def test_pose_turns_about_the_middle(pose: Pose) -> None:
    middle = np.array([31.5 + pose.right_px, 31.5 + pose.down_px, 1.0])
    np.testing.assert_allclose((pose.matrix() @ middle)[:2], [31.5, 31.5], atol=1e-12)
    assert np.sign(np.linalg.det(pose.matrix())) == (-1 if pose.mirrored else 1)


def test_gradient_features_ignore_brightness_and_contrast() -> None:
    usual = gradient_features(VIEWS.detailed[:5])
    dim = gradient_features(make_views((REFERENCES[:5] * 0.5 + 40).astype(np.uint8)).detailed)
    other = gradient_features(make_views(textures(5, 7)).detailed)
    assert usual.shape == (5, 512)
    np.testing.assert_allclose(np.linalg.norm(usual, axis=1), 1.0)
    same = np.linalg.norm(usual - dim, axis=1).max()
    assert same < 0.2 * np.linalg.norm(usual - other, axis=1).min()
    assert not gradient_features(np.zeros((1, 64, 64), np.float32)).any()


def test_nearest_by_features_equals_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    references, one, two = (
        rng.normal(size=(50, 7)),
        rng.normal(size=(20, 7)),
        rng.normal(size=(20, 7)),
    )
    module = "medgain.metrics.memorisation.features."
    monkeypatch.setattr(module + "_BLOCK", 6)
    monkeypatch.setattr(module + "_REFERENCE_BLOCK", 11)
    distance, index = nearest_by_features([one, two], references)
    every = np.minimum(
        *(np.linalg.norm(part[:, None] - references[None], axis=2) for part in (one, two))
    )
    np.testing.assert_allclose(distance, every.min(axis=1))
    assert index.tolist() == every.argmin(axis=1).tolist()
    exact, _ = nearest_by_features([references], references)
    assert exact.tolist() == [0.0] * 50  # no cancellation


def test_bad_features_are_refused() -> None:
    good = np.zeros((3, 2))
    with pytest.raises(DataError, match="NaN"):
        nearest_by_features([np.full((1, 2), np.nan)], good)
    with pytest.raises(DataError, match="shapes"):
        nearest_by_features([np.zeros((1, 3))], good)
    with pytest.raises(DataError, match="no reference"):
        nearest_by_features([good], good[:0])


def test_scaling_drops_constant_columns() -> None:
    reference = np.column_stack([np.arange(5.0), np.full(5, 3.0)])
    scaled, other = scale_features(reference, np.array([[2.0, 9.0]]))
    assert scaled.shape == (5, 1)
    np.testing.assert_allclose(scaled.std(), 1.0)
    np.testing.assert_allclose(other, [[0.0]])
    assert scale_features(np.ones((4, 2)))[0].shape == (4, 1)
