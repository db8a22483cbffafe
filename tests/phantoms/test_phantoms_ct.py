"""The CT phantoms, lung and kidney: patients, Hounsfield units, masks, and no surprises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medgain.imageset.imageset import ImageSet
from medgain.phantoms import PHANTOMS
from medgain.phantoms.ct.canvas import Ellipsoid, ellipse_depth
from medgain.phantoms.ct.scans import plan_scans
from medgain.runtime.errors import ConfigError
from medgain.runtime.seeds import SeedTree

KIDNEY, LUNG = PHANTOMS.get("kidney"), PHANTOMS.get("lung")


@pytest.fixture(scope="module")
def kidneys() -> ImageSet:
    return KIDNEY.make(200, seed=1)


@pytest.fixture(scope="module")
def lungs() -> ImageSet:
    return LUNG.make(160, seed=1)


@pytest.fixture(scope="module", params=["kidneys", "lungs"])
def either(request) -> ImageSet:
    return request.getfixturevalue(request.param)


def hounsfield(made: ImageSet) -> np.ndarray:
    """Return HU, (N, H, W)."""
    intensity = made.card.intensity
    return made.images[..., 0].astype(np.float64) * intensity.scale + intensity.offset


def test_cards_say_what_the_masks_mean(kidneys, lungs):
    assert kidneys.card.mask_classes == ["kidney", "tumour"]
    assert lungs.card.mask_classes == ["lung"]
    for made in (kidneys, lungs):
        assert made.classes == [] and made.card.positive is None
        assert set(made.records.label) == {""}
        assert made.card.intensity.unit == "HU"
        assert "mask_sha256" in made.records


def test_masks_hold_their_codes_and_no_others(kidneys, lungs):
    assert set(np.unique(kidneys.masks)) == {0, 1, 2}
    assert set(np.unique(lungs.masks)) == {0, 1}
    assert kidneys.masks.dtype == lungs.masks.dtype == np.uint8


def test_a_patient_has_one_split_and_one_field_of_view(either):
    for column in ("split", "spacing_row_mm"):
        assert (either.records.groupby("group")[column].nunique() == 1).all()
    assert {"train", "test"} == set(either.splits)


def test_kidney_patients_have_three_to_eight_slices_bottom_up(kidneys):
    whole = kidneys.records[kidneys.groups != kidneys.groups[-1]].groupby("group")
    assert set(whole.size()) <= set(range(3, 9))
    assert whole.size().nunique() > 3
    assert (whole.position_mm.apply(lambda z: z.is_monotonic_increasing)).all()


def test_lung_patients_have_one_to_four_slices(lungs):
    assert set(lungs.records.groupby("group").size()) == {1, 2, 3, 4}


def test_organs_are_as_large_as_in_patients(kidneys, lungs):
    kidney = (kidneys.masks == 1).mean(axis=(1, 2))
    assert 0.008 < np.median(kidney) < 0.03
    assert (kidney > 0).mean() > 0.9
    tumour = (kidneys.masks == 2).mean(axis=(1, 2))
    assert 0.4 < (tumour > 0).mean() < 0.8
    assert 0.005 < np.median(tumour[tumour > 0]) < 0.04
    lung = (lungs.masks == 1).mean(axis=(1, 2))
    assert 0.12 < np.median(lung) < 0.30
    assert lung.min() > 0.01


def test_tumours_come_in_the_asked_for_share_of_patients(kidneys):
    shown = (kidneys.masks == 2).any(axis=(1, 2))
    patients = sorted(set(kidneys.groups[kidneys.groups != kidneys.groups[-1]]))
    share = np.mean([shown[kidneys.groups == patient].any() for patient in patients])
    assert share == pytest.approx(0.7, abs=0.06)


@pytest.mark.parametrize(("share", "some"), [(0.0, False), (1.0, True)])
def test_tumour_share_at_its_ends(share, some):
    made = KIDNEY.make(24, size_px=32, tumour_share=share)
    shown = (made.masks == 2).any(axis=(1, 2))
    if not some:
        assert not shown.any()
    for group in set(made.groups[:-8]) if some else ():
        assert shown[made.groups == group].any(), f"no slice of {group} shows its tumour"


def test_tissues_have_their_hounsfield_units():
    made = KIDNEY.make(60, size_px=128, seed=2, depth=16)
    hu = hounsfield(made)
    plain = (made.records.phase == "plain").to_numpy()
    kidney = np.array([np.median(h[m == 1]) for h, m in zip(hu, made.masks, strict=True) if 1 in m])
    enhanced = kidney[~plain[(made.masks == 1).any(axis=(1, 2))]]
    assert ((enhanced > 60) & (enhanced < 260)).all()
    assert (np.median(hu[:, :3], axis=(1, 2)) < -900).all(), "air above the patient"
    assert (hu.max(axis=(1, 2)) > 300).all(), "bone"
    assert ((hu > -140) & (hu < -70)).mean() > 0.1, "fat"


def test_lungs_hold_air_and_their_surroundings_do_not():
    made = LUNG.make(60, size_px=128, seed=2, depth=16)
    for hu, mask in zip(hounsfield(made), made.masks, strict=True):
        assert -930 < np.median(hu[mask == 1]) < -450
        rim = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask)
        assert np.median(hu[rim]) > -250


def test_lung_masks_are_not_just_a_threshold(lungs):
    """Air outside the patient, in airways and bowel is no lung; diseased lung is lung."""
    hu = hounsfield(lungs)
    dark = hu < -500
    overlap = 2.0 * (dark & (lungs.masks == 1)).sum() / (dark.sum() + (lungs.masks == 1).sum())
    assert overlap < 0.6
    assert (~dark & (lungs.masks == 1)).sum() > 0.02 * (lungs.masks == 1).sum()


def test_kidney_masks_are_not_just_a_threshold(kidneys):
    """Vessels, bowel, spleen and bone are as bright as kidneys."""
    hu, best = hounsfield(kidneys), 0.0
    for low in (60, 90, 120, 150):
        for high in (200, 250, 300):
            bright = (hu > low) & (hu < high)
            both = (bright & (kidneys.masks == 1)).sum()
            best = max(best, 2.0 * both / (bright.sum() + (kidneys.masks == 1).sum()))
    assert best < 0.45


def test_one_lung_share():
    both = LUNG.make(40, size_px=32, one_lung_share=0.0)
    one = LUNG.make(40, size_px=32, one_lung_share=1.0)
    assert set(both.records.lungs) == {2} and set(one.records.lungs) == {1}
    left, right = one.masks[..., :16].sum(axis=(1, 2)), one.masks[..., 16:].sum(axis=(1, 2))
    assert (np.minimum(left, right) < 0.2 * np.maximum(left, right)).all()


@pytest.mark.parametrize("phantom", [KIDNEY, LUNG])
def test_depth_16_keeps_hounsfield_units_and_changes_no_mask(phantom):
    deep, flat = phantom.make(8, seed=3, depth=16), phantom.make(8, seed=3, depth=8)
    assert deep.images.dtype == np.uint16 and flat.images.dtype == np.uint8
    assert (deep.card.intensity.scale, deep.card.intensity.offset) == (1.0, -1024.0)
    assert np.array_equal(deep.masks, flat.masks)
    low = flat.card.intensity.offset
    high = low + 255 * flat.card.intensity.scale
    seen = np.clip(hounsfield(deep), low, high)
    assert np.abs(seen - hounsfield(flat)).max() <= 0.5 * flat.card.intensity.scale + 0.5


@pytest.mark.parametrize("phantom", [KIDNEY, LUNG])
def test_a_size_is_a_resampling_of_the_same_slice(phantom):
    small, large = phantom.make(8, size_px=64, seed=2), phantom.make(8, size_px=128, seed=2)
    halved = large.images[..., 0].reshape(8, 64, 2, 64, 2).mean(axis=(2, 4))
    for one, other in zip(small.images[..., 0], halved, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97
    share = (large.masks > 0).reshape(8, 64, 2, 64, 2).mean(axis=(2, 4))
    assert (((share > 0.5) != (small.masks > 0)) & (share != 0.5)).mean() < 0.01
    assert np.allclose(small.records.spacing_row_mm, 2 * large.records.spacing_row_mm)


@pytest.mark.parametrize("phantom", [KIDNEY, LUNG])
def test_masks_of_a_longer_set_begin_with_those_of_the_shorter_one(phantom):
    short, long = phantom.make(10, size_px=32), phantom.make(31, size_px=32)
    assert np.array_equal(short.masks, long.masks[:10])


def test_neighbouring_slices_are_alike_and_patients_differ(either):
    pixels = either.images[..., 0].reshape(len(either), 16, 4, 16, 4).mean((2, 4))
    correlation = np.corrcoef(pixels.reshape(len(either), -1))
    same = either.groups[:, None] == either.groups[None, :]
    np.fill_diagonal(same, False)
    others = ~same & ~np.eye(len(same), dtype=bool)
    assert correlation[same].mean() > correlation[others].mean() + 0.02
    assert either.records.sha256.is_unique


def test_masks_survive_the_disk(tmp_path):
    made = KIDNEY.make(6, size_px=32, depth=16)
    opened = ImageSet.open(made.save(tmp_path / "set"))
    assert np.array_equal(opened.masks, made.masks)
    assert opened.records.spacing_row_mm.dtype == np.float64
    assert opened.card.intensity == made.card.intensity


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 500),
    seed=st.integers(0, 2**40),
    share=st.floats(0.0, 1.0),
    test_fraction=st.floats(0.0, 0.9),
    fewest=st.integers(1, 5),
    more=st.integers(0, 8),
)
def test_plan_keeps_count_shares_and_patients(count, seed, share, test_fraction, fewest, more):
    most = fewest + more
    scans = list(
        plan_scans(
            SeedTree(seed),
            count,
            slices=(fewest, most),
            finding_share=share,
            test_fraction=test_fraction,
        )
    )
    assert sum(scan.slices for scan in scans) == count
    assert all(fewest <= scan.planned <= most for scan in scans)
    assert all(scan.slices == scan.planned for scan in scans[:-1])
    assert abs(sum(scan.finding for scan in scans) - share * len(scans)) <= 1.0
    for finding in (False, True):
        side = [scan for scan in scans if scan.finding == finding]
        test = sum(scan.planned for scan in side if scan.split == "test")
        assert abs(test - test_fraction * sum(scan.planned for scan in side)) <= most + 1


@pytest.mark.parametrize(
    ("phantom", "option", "value"),
    [
        ("kidney", "tumour_share", -0.1),
        ("kidney", "tumour_share", 1.1),
        ("kidney", "tumour_share", float("nan")),
        ("kidney", "max_slices_per_patient", 0),
        ("kidney", "max_slices_per_patient", 61),
        ("kidney", "depth", 12),
        ("kidney", "depth", "deep"),
        ("kidney", "depth", None),
        ("kidney", "test_fraction", 1.0),
        ("lung", "one_lung_share", 2),
        ("lung", "one_lung_share", "some"),
        ("lung", "test_fraction", -0.5),
        ("lung", "max_slices_per_patient", 2.5),
    ],
)
def test_refuses_a_hostile_option(phantom, option, value):
    with pytest.raises(ConfigError, match=option) as caught:
        PHANTOMS.get(phantom).make(2, **{option: value})
    assert option in caught.value.remedy


def test_an_unknown_option_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'tumour_share'"):
        KIDNEY.make(2, tumor_share=0.3)


def test_one_slice_per_patient():
    for phantom in (KIDNEY, LUNG):
        made = phantom.make(12, size_px=16, max_slices_per_patient=1)
        assert made.records.group.nunique() == 12


@settings(deadline=None, max_examples=40)
@given(
    a=st.floats(8.0, 60.0),
    ratio=st.floats(0.5, 1.0),
    turn=st.floats(-180.0, 180.0),
    angle=st.floats(0.0, 6.28),
)
def test_ellipse_depth_is_nothing_on_the_edge_and_distance_near_it(a, ratio, turn, angle):
    b = a * ratio
    normal = np.array([np.cos(angle) / a, np.sin(angle) / b])
    normal /= np.hypot(*normal)
    edge = np.array([a * np.cos(angle), b * np.sin(angle)])
    spin = np.deg2rad(turn)
    rotation = np.array([[np.cos(spin), -np.sin(spin)], [np.sin(spin), np.cos(spin)]])
    for off in (-0.2, 0.0, 0.2):
        x, y = rotation @ (edge + off * normal)
        depth = ellipse_depth(np.array([x]), np.array([y]), a, b, turn)
        assert depth[0] == pytest.approx(-off, abs=0.03)


def test_an_ellipsoid_ends_where_its_height_ends():
    ball = Ellipsoid(0.0, 0.0, 10.0, 5.0, 5.0, 20.0)
    assert ball.share(10.0) == 1.0
    assert ball.share(30.0) == ball.share(31.0) == ball.share(-99.0) == 0.0
    assert ball.share(22.0) == pytest.approx(0.8)
