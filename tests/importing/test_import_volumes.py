"""DICOM and NIfTI imports: every slice with its mask, in HU, and what is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medgain.imageset.imageset import ImageSet
from medgain.importing.run import import_images
from medgain.runtime.errors import ConfigError, DataError
from volume_files import dicom_dataset, write_dicom, write_enhanced, write_nifti, write_series

SHAPE = (5, 12, 14)


def hu_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-600, 900, SHAPE).astype(np.int16)


def labels_of(seed: int) -> np.ndarray:
    """Kidney in slices 1 to 3, tumour in slice 2 alone."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 3:8, 4 + seed : 9 + seed] = 1
    labels[2, 4:6, 5 + seed : 7 + seed] = 2
    return labels


def to_hu(made: ImageSet) -> np.ndarray:
    intensity = made.card.intensity
    return made.images[..., 0] * intensity.scale + intensity.offset


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    """Two KiTS cases, whose volumes and labels run along different axes."""
    for case in range(2):
        folder = tmp_path / f"kits/case_{case:05d}"
        write_nifti(folder / "imaging.nii.gz", hu_of(case), "IPL")
        write_nifti(folder / "segmentation.nii.gz", labels_of(case), "IPL" if case else "RAS")
    return tmp_path / "kits"


@pytest.fixture
def moai(tmp_path: Path) -> Path:
    """Two patients of the train folder, whose file names sort as numbers."""
    for patient in range(2):
        hu, labels = hu_of(patient), labels_of(patient)
        for index in range(SHAPE[0]):
            number = 8 + index  # 8.dcm to 12.dcm: not in the order of text
            dataset = dicom_dataset(
                hu[index] + 1024, instance=number, series=f"1.{patient}", patient="anonymous"
            )
            write_dicom(tmp_path / f"moai/train/DICOM/P{patient}/{number}.dcm", dataset)
            mask = tmp_path / f"moai/train/Label/P{patient}/mask_{number}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels[index]).save(mask)
    return tmp_path / "moai"


def test_kits_cases_become_slices_with_masks(kits: Path, tmp_path: Path) -> None:
    made = import_images(kits, tmp_path / "set", depth="16")
    assert made.card.history[-1]["layout"] == "nifti"
    assert made.card.modality == "CT"
    assert made.card.mask_classes == ["kidney", "tumour"]
    assert made.card.groups_known
    assert made.records["group"].tolist() == ["case_00000"] * 5 + ["case_00001"] * 5
    assert made.records["slice"].tolist() == [4, 3, 2, 1, 0] * 2  # KiTS counts downwards
    assert made.records["image_id"][0] == "case_00000_0004"
    assert made.records["source"][0] == "case_00000/imaging.nii.gz#0004"
    assert made.images.dtype == np.uint16
    assert made.card.intensity.model_dump() == {"scale": 1.0, "offset": -1024.0, "unit": "HU"}
    np.testing.assert_array_equal(to_hu(made), np.concatenate([hu_of(0), hu_of(1)]))
    np.testing.assert_array_equal(made.masks, np.concatenate([labels_of(0), labels_of(1)]))
    assert made.records["spacing_row_mm"].tolist() == pytest.approx([0.8] * 10)
    assert made.records["spacing_column_mm"].tolist() == pytest.approx([0.7] * 10)


def test_windows_fill_eight_bits(kits: Path, tmp_path: Path) -> None:
    given = import_images(kits, tmp_path / "given", window="-100,155")
    clipped = np.clip(np.concatenate([hu_of(0), hu_of(1)]), -100, 155)
    np.testing.assert_array_equal(given.images[..., 0], clipped + 100)
    np.testing.assert_allclose(to_hu(given), clipped)
    assert given.card.history[-1]["window"] == [-100, 155]
    default = import_images(kits, tmp_path / "default")
    assert default.images.dtype == np.uint8
    assert default.card.history[-1]["window"] == [0, 400]
    assert "window 0 to 400 HU, the default" in " ".join(default.card.notes)
    clipped = np.clip(np.concatenate([hu_of(0), hu_of(1)]), 0, 400)
    np.testing.assert_allclose(to_hu(default), clipped, atol=0.5 * 400 / 255 + 1e-3)
    deep = import_images(kits, tmp_path / "deep", window=(0, 400), depth="16")
    np.testing.assert_allclose(to_hu(deep), clipped, atol=0.01)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"slices": "foreground"}, [1, 2, 3]),
        ({"slices": "tumour"}, [2]),
        ({"slices": "all", "slice_every": 2}, [0, 2, 4]),
        ({"slices": "foreground", "slice_every": 2}, [1, 3]),
        ({"slices": "b", "mask_classes": ["a", "b"]}, [2]),
    ],
)
def test_slices_are_chosen_by_content(kits: Path, tmp_path: Path, options, kept) -> None:
    made = import_images(kits, tmp_path / "set", window="0,400", **options)
    assert made.records["slice"].tolist() == [4 - index for index in kept] * 2
    np.testing.assert_array_equal(made.masks[: len(kept)], labels_of(0)[kept])


def test_slices_that_are_nowhere(kits: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no slice in .* holds 'cyst'"):
        import_images(kits, tmp_path / "set", slices="cyst")
    with pytest.raises(ConfigError, match="no mask class; did you mean 'tumour'"):
        import_images(kits, tmp_path / "set", slices="tumor")
    with pytest.raises(ConfigError, match="--slice-every 0"):
        import_images(kits, tmp_path / "set", slice_every=0)


def test_nnunet_folders(tmp_path: Path) -> None:
    for case in range(2):
        write_nifti(tmp_path / f"in/imagesTr/liver_{case}_0000.nii.gz", hu_of(case))
        write_nifti(tmp_path / f"in/labelsTr/liver_{case}.nii.gz", labels_of(case))
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.records["group"].unique().tolist() == ["liver_0", "liver_1"]
    assert made.card.mask_classes == ["class 1", "class 2"]
    write_nifti(tmp_path / "in/imagesTr/liver_1_0001.nii.gz", hu_of(1))
    with pytest.raises(DataError, match=r"liver_1_0001\.nii\.gz: it has no label volume"):
        import_images(tmp_path / "in", tmp_path / "other")


def test_volumes_without_labels_and_of_another_modality(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in/a.nii.gz", np.abs(hu_of(0)))
    made = import_images(tmp_path / "in", tmp_path / "set", modality="MR")
    assert made.masks is None
    assert made.card.intensity.unit == ""
    assert made.images.min() == 0
    assert made.images.max() == 255
    assert "stretched over its own range" in " ".join(made.card.notes)
    deep = import_images(tmp_path / "in", tmp_path / "deep", modality="MR", depth="16")
    np.testing.assert_array_equal(deep.images[..., 0], np.abs(hu_of(0)))
    write_nifti(tmp_path / "in/b.nii.gz", hu_of(0))
    with pytest.raises(DataError, match=r"b\.nii\.gz: its values .* give a\s+window"):
        import_images(tmp_path / "in", tmp_path / "x", modality="MR", depth="16")


def damage_kits(kits: Path, kind: str) -> None:
    label = kits / "case_00001/segmentation.nii.gz"
    if kind == "missing":
        label.unlink()
    elif kind == "orphan":
        (kits / "case_00001/imaging.nii.gz").unlink()
    elif kind == "shape":
        write_nifti(label, labels_of(1)[:, :10], "IPL")
    elif kind == "place":
        write_nifti(label, labels_of(1), "IPL", (0.7, 0.8, 2.5))
    elif kind == "value":
        write_nifti(label, labels_of(1) * 20, "IPL")
    elif kind == "fractions":
        write_nifti(label, labels_of(1) * np.float32(0.5), "IPL")
    elif kind == "4-D":
        import nibabel

        voxels = np.zeros((*SHAPE, 3), np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), kits / "case_00001/imaging.nii.gz")
    elif kind == "broken":
        (kits / "case_00001/imaging.nii.gz").write_bytes(b"")


KITS = {
    "missing": r"case_00001/imaging\.nii\.gz: it has no label volume",
    "orphan": r"case_00001/segmentation\.nii\.gz: a label volume without a volume",
    "shape": r"case_00001/imaging\.nii\.gz: label volume segmentation\.nii\.gz is 5 × 10 × 14",
    "place": r"segmentation\.nii\.gz lies elsewhere than imaging\.nii\.gz: .* mm apart",
    "value": r"its mask segmentation\.nii\.gz holds the value 40: neither",
    "fractions": r"label volume segmentation\.nii\.gz holds numbers that are no class numbers",
    "4-D": r"case_00001/imaging\.nii\.gz: 4-D \(5 × 12 × 14 × 3\), not a volume",
    "broken": r"case_00001/imaging\.nii\.gz: zero bytes",
}


@pytest.mark.parametrize("kind", KITS)
def test_hostile_nifti(kits: Path, tmp_path: Path, kind: str) -> None:
    damage_kits(kits, kind)
    with pytest.raises(DataError, match=KITS[kind]):
        import_images(kits, tmp_path / "set")
    assert not (tmp_path / "set").exists()
    made = import_images(kits, tmp_path / "set", skip_unreadable=True)
    assert made.records["group"].unique().tolist() == ["case_00000"]


def test_dicom_slices_with_png_labels(moai: Path, tmp_path: Path) -> None:
    made = import_images(moai, tmp_path / "set", layout="dicom-label", window="0,400", size_px=28)
    auto = import_images(moai, tmp_path / "auto", window="0,400", size_px=28)
    assert auto.fingerprint() == made.fingerprint()
    assert made.card.modality == "CT"
    assert made.records["group"].unique().tolist() == ["P0", "P1"]
    assert made.records["split"].unique().tolist() == ["train"]
    assert made.records["source"][0] == "train/DICOM/P0/8.dcm"
    assert made.records["mask_source"][4] == "mask_12.png"
    assert made.card.intensity.unit == "HU"
    # stored twice as large, 2 px of padding above and below
    masks = np.concatenate([labels_of(0), labels_of(1)])
    np.testing.assert_array_equal(made.masks[:, 2:26:2, ::2], masks)
    assert made.records["spacing_row_mm"][0] == pytest.approx(0.4)
    alone = import_images(moai / "train", tmp_path / "alone", window="0,400", size_px=28)
    assert alone.records["split"].unique().tolist() == [""]
    np.testing.assert_array_equal(alone.masks, made.masks)


def damage_moai(moai: Path, kind: str) -> None:
    slices, labels = moai / "train/DICOM/P1", moai / "train/Label/P1"
    if kind == "one mask less":
        (labels / "mask_9.png").unlink()
    elif kind == "no masks":
        shutil.rmtree(labels)
    elif kind == "no slices":
        shutil.rmtree(slices)
    elif kind == "size":
        Image.fromarray(np.zeros((12, 12), np.uint8)).save(labels / "mask_9.png")
    elif kind == "colour":
        colours = np.random.default_rng(0).integers(0, 255, (12, 14, 3)).astype(np.uint8)
        Image.fromarray(colours).save(labels / "mask_9.png")
    elif kind == "value":
        Image.fromarray(np.full((12, 14), 9, np.uint8)).save(labels / "mask_9.png")
    elif kind == "no pixels":
        dataset = dicom_dataset(np.zeros((12, 14)), series="1.1")
        del dataset.PixelData
        write_dicom(slices / "9.dcm", dataset)


MOAI = {
    "one mask less": r"train/DICOM/P1: 5 slices, but 4 masks",
    "no masks": r"train/DICOM/P1: it has no masks",
    "no slices": r"train/Label/P1/mask_10\.png: masks of 'train/P1', which has no DICOM",
    "size": r"DICOM/P1: 9\.dcm: its mask mask_9\.png is 12 × 12 px, the image 14 × 12",
    "colour": r"9\.dcm: its mask mask_9\.png is in colour",
    "value": r"9\.dcm: its mask mask_9\.png holds the value 9; --mask-classes names 2",
    "no pixels": r"9\.dcm is a DICOM file without pixel data",
}


@pytest.mark.parametrize("kind", MOAI)
def test_hostile_dicom_labels(moai: Path, tmp_path: Path, kind: str) -> None:
    damage_moai(moai, kind)
    options = {"mask_classes": ["kidney", "tumour"], "window": "0,400"}
    with pytest.raises(DataError, match=MOAI[kind]):
        import_images(moai, tmp_path / "set", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "set").exists()
    made = import_images(moai, tmp_path / "set", skip_unreadable=True, **options)  # type: ignore[arg-type]
    assert made.records["group"].unique().tolist() == ["P0"]


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Two patients with a series each; one file is an index, one a note."""
    for patient in range(2):
        folder, names = tmp_path / f"in/p{patient}", {"series": f"1.{patient}"}
        write_series(folder, hu_of(patient), patient=f"id{patient}", window=(40, 400), **names)
    (tmp_path / "in/DICOMDIR").write_bytes(b"x")
    (tmp_path / "in/note.txt").write_text("x")
    return tmp_path / "in"


def test_series_by_patient(series: Path, tmp_path: Path) -> None:
    made = import_images(series, tmp_path / "set", depth="16")
    assert made.card.history[-1]["layout"] == "dicom"
    assert made.groups.tolist() == ["id0"] * 5 + ["id1"] * 5
    assert made.card.group_rule == "patient id of the DICOM files"
    assert made.masks is None
    np.testing.assert_array_equal(to_hu(made), np.concatenate([hu_of(0), hu_of(1)]))
    assert made.records["image_id"].tolist()[:2] == ["p0/005", "p0/004"]
    windowed = import_images(series, tmp_path / "file", window="file")
    assert windowed.card.history[-1]["window"] == [-160, 239]
    np.testing.assert_allclose(
        to_hu(windowed)[:5], np.clip(hu_of(0), -160, 239), atol=0.5 * 399 / 255 + 1e-3
    )
    folders = import_images(series, tmp_path / "pattern", group_pattern="^([^/]+)/")
    assert folders.records["group"].unique().tolist() == ["p0", "p1"]


def test_frames_are_slices_too(tmp_path: Path) -> None:
    hu = hu_of(3) // 2 * 2
    (tmp_path / "in").mkdir()
    write_enhanced(tmp_path / "in/e.dcm", hu, [4, 0, 2, 1, 3])
    made = import_images(tmp_path / "in", tmp_path / "set", depth="16")
    np.testing.assert_array_equal(to_hu(made), hu)
    assert made.records["image_id"][0] == "e#0001"


def test_mixed_series_in_one_folder(series: Path, tmp_path: Path) -> None:
    scout = dicom_dataset(
        np.zeros((12, 14)), series="9.9", patient="id0", SeriesDescription="Scout"
    )
    write_dicom(series / "p0/scout.dcm", scout)
    with pytest.raises(
        DataError, match=r"folder p0: mixed series: 1\.0 \(5 × CT.*9\.9.*Scout.*--series UID"
    ):
        import_images(series, tmp_path / "set")
    one = import_images(series, tmp_path / "one", series="1.0")
    assert len(one) == 5
    both = import_images(series, tmp_path / "all", series="all")
    assert len(both) == 11
    with pytest.raises(DataError, match=r"no series 4\.4"):
        import_images(series, tmp_path / "none", series="4.4")


def test_other_modalities_and_files_without_pixels(series: Path, tmp_path: Path) -> None:
    plan = Path(str(get_testdata_file("rtplan.dcm", download=False)))
    shutil.copy(plan, series / "p0/plan.dcm")
    with pytest.raises(DataError, match=r"p0/plan\.dcm: .*\(RTPLAN\) is a DICOM file without pix"):
        import_images(series, tmp_path / "set")
    assert len(import_images(series, tmp_path / "set", skip_unreadable=True)) == 10
    (series / "p0/plan.dcm").unlink()
    magnet = Path(str(get_testdata_file("MR_small.dcm", download=False)))
    (series / "p2").mkdir()
    shutil.copy(magnet, series / "p2/mr.dcm")
    with pytest.raises(DataError, match=r"p2/mr\.dcm is MR, the other series are CT"):
        import_images(series, tmp_path / "other")


def test_single_images_of_many_series_in_one_folder(tmp_path: Path) -> None:
    for k in range(3):
        film = dicom_dataset(
            np.full((12, 14), 1000 + k), series=f"1.{k}", patient=f"p{k // 2}", modality="DX",
            rescale=None, place=None, window=(1000, 101),
        )  # fmt: skip
        write_dicom(tmp_path / f"in/{k}", film)  # no suffix: known by its mark
    made = import_images(tmp_path / "in", tmp_path / "set")
    assert made.card.modality == "DX"
    assert made.groups.tolist() == ["p0", "p0", "p1"]
    assert made.records["image_id"].tolist() == ["0", "1", "2"]
    assert "windows are those that the files state" in " ".join(made.card.notes)


def test_one_patient_id_for_all_is_remarked(series: Path, tmp_path: Path) -> None:
    for patient in range(2):
        write_series(series / f"p{patient}", hu_of(patient), series=f"1.{patient}", patient="anon")
    made = import_images(series, tmp_path / "set")
    assert "all 2 series bear the patient id 'anon'" in " ".join(made.card.notes)


def test_volumes_of_two_sizes_need_a_size(series: Path, tmp_path: Path) -> None:
    write_series(series / "p2", np.zeros((2, 20, 20), np.int16), series="1.2", patient="id2")
    with pytest.raises(DataError, match=r"p2/002\.dcm is 20 × 20 px.*--size N"):
        import_images(series, tmp_path / "set")
    assert import_images(series, tmp_path / "set", size_px=16).images.shape == (12, 16, 16, 1)


def test_truncated_dicom_is_named(series: Path, tmp_path: Path) -> None:
    path = series / "p1/003.dcm"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"  p1: 003\.dcm can't be decoded"):
        import_images(series, tmp_path / "set")


def test_images_are_equal_whatever_the_threads(kits: Path, tmp_path: Path) -> None:
    one = import_images(kits, tmp_path / "one", workers=1, size_px=8)
    many = import_images(kits, tmp_path / "many", workers=4, size_px=8)
    assert one.fingerprint() == many.fingerprint()


def test_colour_as_asked(kits: Path, tmp_path: Path) -> None:
    assert import_images(kits, tmp_path / "set", colour="rgb").channels == 3


def test_large_slices_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "in", hu_of(0))
    with pytest.raises(DataError, match="megapixels"):
        import_images(tmp_path / "in", tmp_path / "set", max_megapixels=0.0001)
