"""Volumes: order, orientation, units, windows and spacing; and each voxel back in its place."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, RLELossless

from medgain.files.volume import read_volume
from medgain.runtime.errors import DataError
from volume_files import dicom_dataset, write_dicom, write_enhanced, write_nifti, write_series

AXES = ["LPS", "RAS", "LAS", "IPL", "SAR", "PIR"]


@pytest.fixture
def hu() -> np.ndarray:
    """Five slices of 6 × 8 px, from feet to head, no two voxels alike."""
    values = np.random.default_rng(0).permutation(5 * 6 * 8).reshape(5, 6, 8) * 5 - 600
    return values.astype(np.int16)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_along_any_axes_is_one_volume(
    tmp_path: Path, hu: np.ndarray, axes: str, suffix: str
) -> None:
    path = write_nifti(tmp_path / f"x{suffix}", hu, axes)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.pixels, hu)
    assert volume.pixels.dtype == np.int16
    assert volume.spacing_mm == pytest.approx((3.0, 0.8, 0.7))
    mask = np.zeros(hu.shape, np.uint8)
    mask[3, 1, 5] = 7
    source = volume.to_source(mask)
    stored = nibabel.load(path)
    assert source.shape == stored.shape
    array = np.asanyarray(stored.dataobj)
    np.testing.assert_array_equal(array[source == 7], hu[3, 1, 5])
    assert (source > 0).sum() == 1
    np.testing.assert_array_equal(volume.to_source(volume.pixels), array)
    np.testing.assert_array_equal(volume.affine, stored.affine)


def test_radiologists_view(tmp_path: Path) -> None:
    voxels = np.zeros((4, 5, 6), np.int16)  # to the right, forwards, upwards
    voxels[3, 4, 5] = 1  # right, front, top
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    assert np.argwhere(volume.pixels).tolist() == [[5, 0, 0]]  # last slice, top row, left column


def test_slice_numbers_are_the_files_own(tmp_path: Path, hu: np.ndarray) -> None:
    # KiTS: the first axis runs downwards
    volume = read_volume(write_nifti(tmp_path / "x.nii.gz", hu, "IPL"))
    assert volume.numbers == (4, 3, 2, 1, 0)
    assert volume.names[0] == "x.nii.gz#0004"
    array = np.asanyarray(nibabel.load(tmp_path / "x.nii.gz").dataobj)
    for number, pixels in zip(volume.numbers, volume.pixels, strict=True):
        np.testing.assert_array_equal(array[number], pixels)


def test_nifti_scaling_floats_and_what_is_not_finite(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.array([[[0, 2], [4, 6]]], np.float32), np.eye(4))
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(2, -1024)
    nibabel.save(image, tmp_path / "scaled.nii")
    volume = read_volume(tmp_path / "scaled.nii")
    assert sorted(volume.pixels.ravel()) == [-1024, -1020, -1016, -1012]
    assert volume.pixels.dtype == np.int16
    halves = np.array([[[0.5, np.nan], [-1.5, np.inf]]], np.float32)
    nibabel.save(nibabel.Nifti1Image(halves, np.eye(4)), tmp_path / "half.nii")
    assert sorted(read_volume(tmp_path / "half.nii").pixels.ravel()) == [-1.5, -1.5, -1.5, 0.5]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 2, 3), np.int16), r"4-D \(2 × 2 × 2 × 3\), not a volume"),
        (np.zeros(5, np.int16), "1-D"),
        (np.zeros((2, 2, 2), np.complex64), "no single numbers"),
        (np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "no single numbers"),
        (np.full((2, 2, 2), np.nan, np.float32), "no voxel holds a finite number"),
    ],
)
def test_nifti_files_that_are_no_volumes(tmp_path: Path, array: np.ndarray, message: str) -> None:
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "odd.nii")
    with pytest.raises(DataError, match=rf"odd\.nii: .*{message}"):
        read_volume(tmp_path / "odd.nii")


def test_a_fourth_axis_of_length_one_is_dropped(tmp_path: Path, hu: np.ndarray) -> None:
    voxels = hu.transpose(2, 1, 0)[..., None]
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1, -1, 1, 1])), tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    np.testing.assert_array_equal(volume.pixels, hu)
    assert volume.to_source(hu).shape == (8, 6, 5, 1)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1f\x8b\x08\x00broken"])
def test_damaged_nifti_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.nii.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.nii\.gz: (zero bytes|not a NIfTI file)"):
        read_volume(tmp_path / "bad.nii.gz")


def test_truncated_nifti_is_named(tmp_path: Path, hu: np.ndarray) -> None:
    for suffix in (".nii", ".nii.gz"):
        path = write_nifti(tmp_path / f"cut{suffix}", hu)
        path.write_bytes(path.read_bytes()[:-60])
        with pytest.raises(DataError, match="truncated or damaged|not a NIfTI file"):
            read_volume(path)


def test_a_series_is_sorted_by_place_not_by_name(tmp_path: Path, hu: np.ndarray) -> None:
    volume = read_volume(write_series(tmp_path / "s", hu, window=(40, 400)))
    np.testing.assert_array_equal(volume.pixels, hu)
    assert volume.names == ("005.dcm", "004.dcm", "003.dcm", "002.dcm", "001.dcm")
    assert volume.unit == "HU"
    assert volume.modality == "CT"
    assert volume.patient == "p1"
    assert volume.spacing_mm == (3.0, 0.8, 0.7)
    assert volume.window == (-160.0, 239.0)  # DICOM's linear window: c - w/2 to c + w/2 - 1
    assert [int(d.InstanceNumber) for d in volume.datasets] == [1, 2, 3, 4, 5]
    assert all("PixelData" not in dataset for dataset in volume.datasets)
    mask = np.zeros(hu.shape, np.uint8)
    mask[3, 1, 5] = 1
    np.testing.assert_array_equal(volume.to_source(mask), mask)


def test_a_series_without_places_is_sorted_by_instance_number(
    tmp_path: Path, hu: np.ndarray
) -> None:
    for index, values in enumerate(hu):
        dataset = dicom_dataset(values + 1024, instance=10 + index, place=None)
        write_dicom(tmp_path / f"{9 - index}.dcm", dataset)
    np.testing.assert_array_equal(read_volume(tmp_path).pixels, hu)


def test_frames_of_an_enhanced_file_are_sorted_rescaled_and_put_back(tmp_path: Path) -> None:
    hu = np.random.default_rng(1).integers(0, 300, (4, 5, 6)).astype(np.int16) * 2
    order = [2, 0, 3, 1]
    volume = read_volume(write_enhanced(tmp_path / "e.dcm", hu, order))
    np.testing.assert_array_equal(volume.pixels, hu)
    assert volume.spacing_mm == (2.0, 0.9, 0.6)
    assert volume.unit == "HU"
    assert volume.names[0] == "e.dcm#0001"
    assert len(volume.datasets) == 1
    np.testing.assert_array_equal(volume.to_source(volume.pixels), hu[order])


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels_are_the_same(tmp_path: Path, syntax: str) -> None:
    stored = np.random.default_rng(2).integers(0, 4000, (64, 64)).astype(np.uint16)
    write_dicom(tmp_path / "c.dcm", dicom_dataset(stored), syntax=syntax)
    np.testing.assert_array_equal(read_volume(tmp_path / "c.dcm").pixels[0], stored - 1024.0)


@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm",
     "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_padded.dcm"],
)  # fmt: skip
def test_real_files_of_any_transfer_syntax_hold_the_same_image(name: str) -> None:
    plain = read_volume(str(get_testdata_file("MR_small.dcm", download=False)))
    other = read_volume(str(get_testdata_file(name, download=False)))
    np.testing.assert_array_equal(other.pixels, plain.pixels)
    assert other.modality == "MR"
    assert other.unit == ""
    assert other.window == (-200.0, 1399.0)
    assert other.spacing_mm == (0.8, 0.3125, 0.3125)


def test_a_real_ct_is_in_hu() -> None:
    volume = read_volume(str(get_testdata_file("CT_small.dcm", download=False)))
    assert volume.unit == "HU"
    assert volume.pixels.shape == (1, 128, 128)
    assert int(volume.pixels.min()) == -896
    assert volume.spacing_mm == pytest.approx((5.0, 0.661468, 0.661468))


def test_monochrome1_is_inverted_but_hu_are_not(tmp_path: Path) -> None:
    stored = np.array([[0, 4095], [1000, 2000]])
    film = dicom_dataset(
        stored, modality="CR", photometric="MONOCHROME1", bits=12, rescale=None, window=(1000, 500)
    )
    volume = read_volume(write_dicom(tmp_path / "film.dcm", film))
    np.testing.assert_array_equal(volume.pixels[0], 4095 - stored)
    assert volume.window == (4095 - 1249, 4095 - 750)
    ct = dicom_dataset(stored, photometric="MONOCHROME1", bits=12)
    volume = read_volume(write_dicom(tmp_path / "ct.dcm", ct))
    np.testing.assert_array_equal(volume.pixels[0], stored - 1024)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rtplan.dcm", r"rtplan\.dcm \(RTPLAN\) is a DICOM file without pixel data"),
        ("MR_truncated.dcm", "can't be decoded"),
        ("examples_rgb_color.dcm", "is a colour DICOM"),
        ("no_meta.dcm", "is not a DICOM file"),
    ],
)
def test_real_files_that_hold_no_grey_image_are_named(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_volume(str(get_testdata_file(name, download=False)))


def test_pixels_that_were_taken_out_are_missed(tmp_path: Path) -> None:
    dataset = dicom_dataset(np.zeros((4, 4)))
    del dataset.PixelData
    write_dicom(tmp_path / "empty.dcm", dataset)
    with pytest.raises(DataError, match=r"empty\.dcm is a DICOM file without pixel data"):
        read_volume(tmp_path)


def test_mixed_series_sizes_and_modalities_are_named(tmp_path: Path, hu: np.ndarray) -> None:
    folder = write_series(tmp_path / "a", hu)
    write_dicom(folder / "scout.dcm", dicom_dataset(hu[0] + 1024, series="1.2.4"))
    with pytest.raises(DataError, match=r"mixed series: 1\.2\.3 \(5 × CT.*1\.2\.4 \(1 × CT"):
        read_volume(folder)
    np.testing.assert_array_equal(read_volume(folder, series="1.2.3").pixels, hu)
    with pytest.raises(DataError, match=r"no series 9\.9"):
        read_volume(folder, series="9.9")
    folder = write_series(tmp_path / "b", hu)
    write_dicom(folder / "big.dcm", dicom_dataset(np.zeros((9, 9)), instance=9))
    with pytest.raises(DataError, match=r"mixed sizes: big\.dcm is 9 × 9 px, .* 8 × 6"):
        read_volume(folder)
    folder = write_series(tmp_path / "c", hu)
    write_dicom(folder / "mr.dcm", dicom_dataset(hu[0] + 1024, modality="MR", instance=9))
    with pytest.raises(DataError, match=r"mr\.dcm is MR, the other files are CT"):
        read_volume(folder)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_volume(tmp_path / "no")
    with pytest.raises(DataError, match="holds no DICOM file"):
        read_volume(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="is not a DICOM file"):
        read_volume(tmp_path / "a.txt")


def test_masks_of_another_shape_are_refused(tmp_path: Path, hu: np.ndarray) -> None:
    volume = read_volume(write_nifti(tmp_path / "x.nii", hu))
    with pytest.raises(ValueError, match="masks"):
        volume.to_source(np.zeros((1, 2, 3), np.uint8))
