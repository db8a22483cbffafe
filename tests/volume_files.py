"""DICOM and NIfTI files for tests, written with pydicom and nibabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

AXIAL = [1, 0, 0, 0, 1, 0]


def dicom_dataset(
    stored: np.ndarray,
    *,
    series: str = "1.2.3",
    modality: str = "CT",
    patient: str = "p1",
    instance: int = 1,
    place: tuple[float, float, float] | None = (0.0, 0.0, 0.0),
    rescale: tuple[float, float] | None = (1, -1024),
    photometric: str = "MONOCHROME2",
    window: tuple[float, float] | None = None,
    bits: int = 16,
    **others: Any,
) -> FileDataset:
    """A plain single-frame dataset of stored values (H, W)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(instance)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = "1.2"
    dataset.FrameOfReferenceUID = "1.2.9"
    dataset.SeriesInstanceUID = series
    dataset.Modality, dataset.PatientID, dataset.InstanceNumber = modality, patient, instance
    dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = "Toy", "", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20200101", "000000", ""
    dataset.StudyID, dataset.ReferringPhysicianName, dataset.SeriesNumber = "1", "", 1
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.7], 3.0
    if place is not None:
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = list(place), AXIAL
    if rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = rescale
        dataset.RescaleType = "HU" if modality == "CT" else "US"
    if window is not None:
        dataset.WindowCenter, dataset.WindowWidth = window
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = 0
    for keyword, value in others.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = stored.astype("<u2").tobytes()
    return dataset


def write_dicom(path: Path, dataset: Dataset, *, syntax: str | None = None) -> Path:
    """Write a dataset, compressed where a transfer syntax is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax is not None:
        dataset.compress(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, hu: np.ndarray, *, step_mm: float = 3.0, **options: Any) -> Path:
    """Write slices (S, H, W) in HU, from feet to head, as files whose names run the other way."""
    count = len(hu)
    for index, values in enumerate(hu):
        dataset = dicom_dataset(
            values + 1024, instance=index + 1, place=(-10.0, -20.0, step_mm * index), **options
        )
        write_dicom(folder / f"{count - index:03d}.dcm", dataset)
    return folder


def write_enhanced(path: Path, hu: np.ndarray, order: list[int], *, step_mm: float = 2.0) -> Path:
    """Write slices (S, H, W) in HU, from feet to head, as frames in another order, two slopes."""
    count, height, width = hu.shape
    dataset = dicom_dataset(np.zeros((height, width)), rescale=None, place=None)
    del dataset.PixelSpacing, dataset.SliceThickness
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.NumberOfFrames = count
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.9, 0.6], 2.0
    plane.ImageOrientationPatient = AXIAL
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    groups, frames = [], []
    for index in order:
        group, place, values = Dataset(), Dataset(), Dataset()
        slope = 1 + index % 2
        place.ImagePositionPatient = [0.0, 0.0, step_mm * index]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, -1024, "HU"
        group.PlanePositionSequence = Sequence([place])
        group.PixelValueTransformationSequence = Sequence([values])
        groups.append(group)
        frames.append((hu[index] + 1024) // slope)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.PixelData = np.stack(frames).astype("<u2").tobytes()
    return write_dicom(path, dataset)


def write_nifti(
    path: Path, slices: np.ndarray, axes: str = "LPS", spacing: tuple[float, ...] = (0.7, 0.8, 3.0)
) -> Path:
    """Write axial slices (S, H, W), from feet to head and seen from the feet, along any axes.

    `axes` says to which side each axis of the file's array runs (nibabel's codes).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    as_lps = np.ascontiguousarray(slices.transpose(2, 1, 0))  # columns run left, rows back
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = (30.0, 40.0, -50.0)
    image = nibabel.Nifti1Image(as_lps, affine)
    codes = nibabel.orientations.axcodes2ornt(tuple(axes))
    here = nibabel.orientations.io_orientation(affine)
    turned = image.as_reoriented(nibabel.orientations.ornt_transform(here, codes))
    nibabel.save(turned, path)
    return path
