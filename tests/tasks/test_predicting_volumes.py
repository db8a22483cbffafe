"""Volumes in, masks out: aligned to the voxel, in the source's own format and grid."""

from __future__ import annotations

import warnings

import highdicom
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medgain.files.volume import read_volume
from medgain.imageset.imageset import ImageSet
from medgain.importing.run import import_images
from medgain.runtime.errors import DataError
from medgain.runtime.files import read_json
from medgain.tasks.predicting.dicom_seg import SCHEME, property_codes
from medgain.tasks.predicting.model import Predictor
from medgain.tasks.predicting.model_input import ModelInput, Preparer
from medgain.tasks.predicting.options import PredictOptions
from medgain.tasks.predicting.run import predict_to_folder
from medgain.tasks.saved import read_saved_record
from saved_models import CT, save_segmenter, threshold_predictions, training_set
from volume_files import dicom_dataset, write_dicom, write_enhanced, write_nifti, write_series

SIDE = 24


@pytest.fixture
def by_threshold(monkeypatch):
    monkeypatch.setattr(Predictor, "predict", threshold_predictions)


@pytest.fixture
def model(tmp_path, by_threshold):
    return save_segmenter(tmp_path / "model")


@pytest.fixture
def hu() -> np.ndarray:
    """Single bright voxels in the dark: any shift, flip or swap of axes shows."""
    random = np.random.default_rng(0)
    bright = random.random((5, SIDE, SIDE)) < 0.05
    bright[2] = False  # a slice with nothing in it
    return np.where(bright, 350, -50).astype(np.int16)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LAS", "PIR", "SLA", "AIL"])
def test_nifti_in_nifti_out_to_the_voxel(model, hu, tmp_path, axes):
    path = write_nifti(tmp_path / "in" / "case.nii.gz", hu, axes)
    done = predict_to_folder(model, path, tmp_path / "out")
    source, mask = nibabel.load(path), nibabel.load(tmp_path / "out" / "masks" / "case.nii.gz")
    np.testing.assert_array_equal(mask.get_fdata() > 0, source.get_fdata() > 200)
    np.testing.assert_array_equal(mask.affine, source.affine)
    assert mask.get_data_dtype() == np.uint8
    assert mask.header.get_zooms() == source.header.get_zooms()
    assert mask.header.get_xyzt_units() == source.header.get_xyzt_units()
    assert int(mask.header["sform_code"]) == int(source.header["sform_code"])
    assert done.volume_rows[0]["voxels"] == int((hu > 200).sum())
    assert done.volume_rows[0]["volume_ml"] == pytest.approx(
        (hu > 200).sum() * 0.7 * 0.8 * 3 / 1000, abs=1e-4
    )
    assert done.volume_rows[0]["slices_with_it"] == 4


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", [(SIDE, SIDE, 5), (SIDE, 5, SIDE), (SIDE, SIDE, 5, 1)])
def test_oblique_and_flipped_nifti_keep_both_transforms(model, tmp_path, shape, flip):
    """The slice axis may be any of the file's; axial slices are cut across the body's axis."""
    random = np.random.default_rng(1)
    array = np.where(random.random(shape) < 0.05, 350, -50).astype(np.int16)
    turn, tilt = np.radians(18), np.radians(11)
    around_z = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    around_x = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    axes = np.eye(3) if shape[1] == SIDE else np.eye(3)[:, [0, 2, 1]]
    affine = np.eye(4)
    affine[:3, :3] = np.array(around_z) @ np.array(around_x) @ axes @ np.diag([0.9, 1.1, 2.5])
    affine[:3, :3] *= [1, -1, -1] if flip else 1
    affine[:3, 3] = (12.5, -33.25, 7.75)
    image = nibabel.Nifti1Image(array, affine)
    other = affine.copy()
    other[:3, 3] += 100  # scanner and aligned coordinates may differ: both are kept
    image.set_sform(affine, 1)
    image.set_qform(other, 2)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Name^Patient"))
    path = tmp_path / "oblique.nii"
    nibabel.save(image, path)
    predict_to_folder(model, path, tmp_path / "out")
    mask = nibabel.load(tmp_path / "out" / "masks" / "oblique.nii.gz")
    assert mask.shape == shape
    np.testing.assert_array_equal(mask.get_fdata() > 0, array > 200)
    np.testing.assert_allclose(mask.get_sform(), affine, atol=1e-5)
    np.testing.assert_allclose(mask.get_qform(), other, atol=1e-4)
    assert (int(mask.header["sform_code"]), int(mask.header["qform_code"])) == (1, 2)
    assert not mask.header.extensions  # these may hold who the patient is


def test_dicom_series_in_dicom_seg_out_to_the_voxel(model, hu, tmp_path):
    folder = write_series(tmp_path / "ct", hu)
    predict_to_folder(model, folder, tmp_path / "out")
    seg = highdicom.seg.segread(tmp_path / "out" / "masks" / "ct.dcm")
    sources = sorted(map(pydicom.dcmread, folder.glob("*.dcm")), key=lambda s: s.InstanceNumber)
    uids = [source.SOPInstanceUID for source in sources]  # the order of `hu`
    frames = seg.get_pixels_by_source_instance(
        uids, assert_missing_frames_are_empty=True, combine_segments=True
    )
    np.testing.assert_array_equal(frames > 0, hu > 200)
    assert (seg.Modality, seg.SegmentationType) == ("SEG", "BINARY")
    assert seg.PatientID == sources[0].PatientID
    assert seg.StudyInstanceUID == sources[0].StudyInstanceUID
    assert seg.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    assert seg.SeriesInstanceUID != sources[0].SeriesInstanceUID
    segment = seg.get_segment_description(1)
    assert segment.SegmentLabel == "kidney"
    assert segment.segmented_property_type.value == "64033007"  # SNOMED CT: kidney
    assert seg.ContentQualification == "RESEARCH"


def test_a_seg_stands_where_its_series_stands(model, hu, tmp_path):
    """Held against pydicom alone: each frame's place in the patient, and its bits."""
    folder = write_series(tmp_path / "ct", hu)
    predict_to_folder(model, folder, tmp_path / "out")
    seg = pydicom.dcmread(tmp_path / "out" / "masks" / "ct.dcm")
    by_height = {float(3.0 * index): hu[index] > 200 for index in range(len(hu))}
    frames = seg.pixel_array
    assert len(frames) == 4  # the slice without a voxel has no frame
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        x, y, z = map(float, groups.PlanePositionSequence[0].ImagePositionPatient)
        assert (x, y) == (-10.0, -20.0)
        np.testing.assert_array_equal(frame > 0, by_height[z])
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.8, 0.7]
    assert [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient] == [
        *(1, 0, 0, 0, 1, 0)
    ]


def test_multi_frame_dicom_in_its_own_frame_order(model, hu, tmp_path):
    order = [3, 0, 4, 2, 1]
    path = write_enhanced(tmp_path / "enhanced.dcm", hu, order)
    predict_to_folder(model, path, tmp_path / "out")
    seg = highdicom.seg.segread(tmp_path / "out" / "masks" / "enhanced.dcm")
    frames = seg.get_pixels_by_source_frame(
        pydicom.dcmread(path).SOPInstanceUID,
        [1, 2, 3, 4, 5],
        assert_missing_frames_are_empty=True,
        combine_segments=True,
    )
    np.testing.assert_array_equal(frames > 0, hu[order] > 200)


def test_several_classes_and_an_empty_mask(by_threshold, tmp_path):
    model = save_segmenter(tmp_path / "m", mask_classes=("kidney", "odd thing"))
    values = np.zeros((3, SIDE, SIDE), np.int16)
    values[1, 4, 5], values[2, 6, 7] = 200, 390
    predict_to_folder(model, write_series(tmp_path / "ct", values), tmp_path / "out")
    seg = highdicom.seg.segread(tmp_path / "out" / "masks" / "ct.dcm")
    uids = [
        pydicom.dcmread(path).SOPInstanceUID for path in sorted((tmp_path / "ct").glob("*.dcm"))
    ][::-1]
    frames = seg.get_pixels_by_source_instance(
        uids, assert_missing_frames_are_empty=True, combine_segments=True
    )
    assert np.argwhere(frames).tolist() == [[1, 4, 5], [2, 6, 7]]
    assert frames[1, 4, 5] == 1 and frames[2, 6, 7] == 2
    kinds = [seg.get_segment_description(n).segmented_property_type for n in (1, 2)]
    assert [kind.meaning for kind in kinds] == ["Kidney", "odd thing"]
    assert kinds[1].scheme_designator == SCHEME
    empty = write_series(tmp_path / "empty", np.zeros((3, SIDE, SIDE), np.int16))
    predict_to_folder(model, empty, tmp_path / "out2")
    assert not highdicom.seg.segread(tmp_path / "out2" / "masks" / "empty.dcm").pixel_array.any()


def test_codes_of_lesions_and_of_names_without_one():
    category, kind = property_codes("Tumour")
    assert (category.value, kind.value) == ("49755003", "108369006")
    for name in ("héè ø", "x" * 100, "", "a\\b\nc"):
        _, kind = property_codes(name)
        assert 0 < len(kind.value) <= 16 and 0 < len(kind.meaning) <= 64
        assert "\\" not in kind.meaning


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_files_of_real_scanners(by_threshold, tmp_path, name):
    path = str(get_testdata_file(name, download=False))
    source = pydicom.dcmread(path)
    size = (source.Rows, source.Columns)
    model = save_segmenter(tmp_path / "model", size_px=size)
    options = PredictOptions(window=(0.0, 1201.0))
    predict_to_folder(model, path, tmp_path / "out", options=options)
    (written,) = (tmp_path / "out" / "masks").iterdir()
    seg = highdicom.seg.segread(written)
    frame = seg.get_pixels_by_source_instance([source.SOPInstanceUID], combine_segments=True)[0]
    values = source.pixel_array * float(source.get("RescaleSlope", 1)) + float(
        source.get("RescaleIntercept", 0)
    )
    stored = np.rint(np.clip(values.astype(np.float32) * 255 / 1201, 0, 255))
    np.testing.assert_array_equal(frame > 0, stored >= 128)
    assert 0 < (frame > 0).sum() < frame.size


@pytest.mark.parametrize(
    "options",
    [
        {"size_px": 32, "window": (0.0, 400.0)},
        {"size_px": 16, "fit": "crop"},
        {"depth": "16", "size_px": 20, "fit": "stretch"},
    ],
    ids=["window", "crop", "16 bit"],
)
@pytest.mark.parametrize("form", ["dicom", "nifti"])
def test_new_volumes_become_what_the_import_makes_of_them(tmp_path, hu, form, options):
    random = np.random.default_rng(2)
    values = random.integers(-1000, 1500, (4, 30, 26)).astype(np.int16)
    if form == "dicom":
        path = write_series(tmp_path / "in" / "p1", values)
    else:
        path = write_nifti(tmp_path / "in" / "case_0" / "imaging.nii.gz", values, "RAS")
    images = import_images(tmp_path / "in", tmp_path / "set", layout=form, **options)
    card = images.card.model_copy(update={"mask_classes": ["kidney"]})
    masks = np.zeros(images.images.shape[:3], np.uint8)
    folder = save_segmenter(tmp_path / "m", ImageSet(images.images, images.records, card, masks))
    takes = ModelInput.from_record(read_saved_record(folder).input)
    ready = Preparer(takes).volume(read_volume(path))
    np.testing.assert_array_equal(ready.slices, np.asarray(images.images))


def test_masks_of_other_sizes_come_back_on_the_sources_pixels(by_threshold, tmp_path):
    values = np.full((2, 2 * SIDE, SIDE), -50, np.int16)
    values[0, 10:30, 4:12] = 390
    model = save_segmenter(tmp_path / "model", fit="pad")
    predict_to_folder(model, write_nifti(tmp_path / "a.nii", values), tmp_path / "out")
    mask = nibabel.load(tmp_path / "out" / "masks" / "a.nii.gz").get_fdata() > 0
    source = nibabel.load(tmp_path / "a.nii").get_fdata() > 200
    np.testing.assert_array_equal(mask, source)  # edges lie on the halved grid


def test_a_folder_of_many_kinds(model, hu, tmp_path):
    write_nifti(tmp_path / "in" / "case_0" / "imaging.nii.gz", hu)
    write_nifti(tmp_path / "in" / "case_0" / "segmentation.nii.gz", (hu > 0).astype(np.int16))
    write_series(tmp_path / "in" / "p1", hu, series="1.5")
    write_series(tmp_path / "in" / "p2", hu[:3], series="1.6")
    for number in (1, 2):  # two X-rays in one folder, each a series of its own
        one = dicom_dataset(hu[number] + 1024, series=f"1.7.{number}", instance=number)
        write_dicom(tmp_path / "in" / "films" / f"film{number}.dcm", one)
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    done = predict_to_folder(model, tmp_path / "in", tmp_path / "out")
    written = sorted(
        path.relative_to(tmp_path / "out" / "masks").as_posix()
        for path in (tmp_path / "out" / "masks").rglob("*")
        if path.is_file()
    )
    assert written == [
        *("case_0/imaging.nii.gz", "films/film1.dcm", "films/film2.dcm", "p1.dcm", "p2.dcm")
    ]
    assert done.volumes == 5
    assert any("segmentation.nii.gz" in note for note in done.notes)
    assert any("1 .txt" in note for note in done.notes)
    areas = pd.read_csv(tmp_path / "out" / "areas.csv")
    assert set(areas["image"]) == {"case_0/imaging", "films/film1", "films/film2", "p1", "p2"}
    one = predict_to_folder(
        model, tmp_path / "in", tmp_path / "o2", options=PredictOptions(series="1.6")
    )
    assert {row["image"] for row in one.volume_rows} == {"case_0/imaging", "p2"}


def test_overlays_of_volumes_show_some_all_or_none(model, tmp_path):
    values = np.full((40, SIDE, SIDE), 390, np.int16)
    path = write_nifti(tmp_path / "a.nii.gz", values)
    for choice, count in (("some", 12), ("all", 40), ("none", 0)):
        out = tmp_path / choice
        predict_to_folder(model, path, out, options=PredictOptions(overlays=choice))
        assert len(list(out.glob("overlays/a/*.png"))) == count


def test_what_a_model_can_not_understand_is_named(by_threshold, tmp_path, hu):
    ct = save_segmenter(tmp_path / "ct")
    film = dicom_dataset(hu[0] + 1024, modality="MR", rescale=None)
    write_dicom(tmp_path / "mr" / "a.dcm", film)
    with pytest.raises(DataError, match=r"a\.dcm holds MR, and the model was trained on HU"):
        predict_to_folder(ct, tmp_path / "mr", tmp_path / "out")
    pictures = save_segmenter(tmp_path / "png", training_set(mask_classes=("kidney",)))
    path = write_nifti(tmp_path / "a.nii.gz", hu)
    with pytest.raises(DataError, match="--window LOW,HIGH") as caught:
        predict_to_folder(pictures, path, tmp_path / "out")
    assert "a.nii.gz" in str(caught.value)
    given = PredictOptions(window=(0.0, 400.0))
    done = predict_to_folder(pictures, path, tmp_path / "out", options=given)
    assert done.volume_rows[0]["voxels"] == int((hu > 200).sum())
    own = write_series(tmp_path / "own", hu, window=(200, 400))
    noted = predict_to_folder(pictures, own, tmp_path / "out2")
    assert any("windowed as their files say" in note for note in noted.notes)
    assert noted.volume_rows[0]["voxels"] == int((hu > 200).sum())
    bare = write_series(tmp_path / "bare", hu)
    with pytest.raises(DataError, match="states no window"):
        predict_to_folder(ct, bare, tmp_path / "out3", options=PredictOptions(window="file"))
    narrow = save_segmenter(tmp_path / "narrow", size_px=(24, 32))
    with pytest.raises(DataError, match="24 × 24 px, and the model takes 32 × 24 px"):
        predict_to_folder(narrow, path, tmp_path / "out4")
    assert not [name for name in ("out3", "out4") if (tmp_path / name).exists()]


def test_damaged_volumes_are_named_together_and_nothing_is_written(model, tmp_path, hu):
    good = write_nifti(tmp_path / "in" / "good.nii.gz", hu)
    (tmp_path / "in" / "cut.nii.gz").write_bytes(good.read_bytes()[:400])
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((4, 4, 4, 3), np.int16), np.eye(4)),
        tmp_path / "in" / "four.nii.gz",
    )
    plan = str(get_testdata_file("rtplan.dcm", download=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmread(plan).save_as(tmp_path / "in" / "plan.dcm")
    with pytest.raises(DataError) as caught:
        predict_to_folder(model, tmp_path / "in", tmp_path / "out")
    for part in ("3 of the files", "cut.nii.gz", "4-D", "without pixel data", "--skip-unreadable"):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()
    skip = PredictOptions(skip_unreadable=True)
    done = predict_to_folder(model, tmp_path / "in", tmp_path / "out", options=skip)
    assert done.volumes == 1 and len(done.unreadable) == 3
    listed = read_json(tmp_path / "out" / "predictions.json")["unreadable"]
    assert len(listed) == 3


def test_intensity_of_the_toy_model_is_that_of_an_abdominal_window():
    assert CT.offset + 255 * CT.scale == pytest.approx(400)


@pytest.mark.parametrize("without", ["PatientName", "StudyDate", "StudyID", "SeriesNumber"])
def test_anonymised_files_without_usual_fields(model, hu, tmp_path, without):
    film = dicom_dataset(hu[0] + 1024)
    delattr(film, without)
    path = write_dicom(tmp_path / "film.dcm", film)
    predict_to_folder(model, path, tmp_path / "out")
    seg = highdicom.seg.segread(tmp_path / "out" / "masks" / "film.dcm")
    frame = seg.get_pixels_by_source_instance([film.SOPInstanceUID], combine_segments=True)[0]
    np.testing.assert_array_equal(frame > 0, hu[0] > 200)


@pytest.mark.parametrize(
    "kind", ["ComputedRadiographyImageStorage", "DigitalXRayImageStorageForPresentation"]
)
def test_x_rays_which_have_no_place_in_the_patient(by_threshold, hu, tmp_path, kind):
    film = dicom_dataset(hu[0] + 1024, modality="CR", place=None, window=(1250, 500))
    film.SOPClassUID = getattr(pydicom.uid, kind)
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    for keyword in ("FrameOfReferenceUID", "PixelSpacing", "SliceThickness", "RescaleSlope"):
        delattr(film, keyword)
    film.RescaleSlope = 1
    film.RescaleIntercept = 0
    film.PatientOrientation = ["L", "F"]
    path = write_dicom(tmp_path / "film.dcm", film)
    pictures = save_segmenter(tmp_path / "m", training_set(mask_classes=("lung",)))
    predict_to_folder(pictures, path, tmp_path / "out")
    seg = highdicom.seg.segread(tmp_path / "out" / "masks" / "film.dcm")
    frame = seg.get_pixels_by_source_instance([film.SOPInstanceUID], combine_segments=True)[0]
    np.testing.assert_array_equal(frame > 0, hu[0] > 200)


def test_a_series_that_no_seg_can_refer_to_gets_pictures(model, hu, tmp_path):
    folder = write_series(tmp_path / "ct", hu)
    for file in folder.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.FrameOfReferenceUID  # CT must have one
        dataset.save_as(file)
    done = predict_to_folder(model, folder, tmp_path / "out")
    assert any("ct: no DICOM SEG" in note and "Frame Of Reference" in note for note in done.notes)
    masks = [
        np.asarray(Image.open(tmp_path / "out" / "masks" / "ct" / f"{index:04d}.png"))
        for index in range(5)
    ]
    np.testing.assert_array_equal(np.stack(masks) > 0, hu > 200)
