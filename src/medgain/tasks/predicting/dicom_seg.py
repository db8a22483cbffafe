"""Write a predicted mask as a DICOM Segmentation (SEG) that points at the images it is of.

The object is a binary segmentation (PS3.3 A.51), which viewers read best: one segment per mask
class, frames of the source's own size, each with a reference to its source image.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medgain.runtime.version import __version__

MAKER = "medgain"
SCHEME = "99MEDGAIN"  # private codes: the standard sets "99" aside for these
# mask class -> keyword of SNOMED CT in pydicom's dictionary, and whether it is a lesion
_KNOWN = {
    "kidney": ("Kidney", False),
    "kidneys": ("Kidney", False),
    "lung": ("Lung", False),
    "lungs": ("Lung", False),
    "liver": ("Liver", False),
    "spleen": ("Spleen", False),
    "heart": ("Heart", False),
    "brain": ("Brain", False),
    "pancreas": ("Pancreas", False),
    "prostate": ("Prostate", False),
    "bladder": ("Bladder", False),
    "tumour": ("Neoplasm", True),
    "tumor": ("Neoplasm", True),
    "neoplasm": ("Neoplasm", True),
    "lesion": ("Lesion", True),
    "cyst": ("Cyst", True),
}
# study and patient fields that the object repeats, empty where an anonymised source lacks them
_REPEATED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)


class UnreferableError(Exception):
    """Images that a DICOM SEG can't refer to; the message says why."""


def write_dicom_seg(
    path: Path,
    masks: np.ndarray,
    sources: Sequence[Any],
    mask_classes: Sequence[str],
    model: str,
) -> None:
    """Write `masks` to `path` as a DICOM SEG.

    Args:
        masks: uint8 (F, H, W), codes; frame f is of `sources[f]`, or of frame f of the one
            multi-frame source.
        sources: datasets of the source images, all of one series.
        mask_classes: names of the codes 1, 2, ….
        model: the model's name, for the object's own description.

    Raises:
        UnreferableError: the source images lack what a SEG must repeat; says what.
    """
    images = [_complete(source) for source in sources]
    frames = sum(int(image.get("NumberOfFrames", 1) or 1) for image in images)
    if frames != len(masks):
        raise UnreferableError(f"{len(masks)} mask frames for {frames} source frames")
    try:
        made = _segmentation(masks, images, mask_classes, model)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreferableError(str(error).rstrip(".")) from error
    made.SeriesDescription = _text(f"{MAKER} segmentation, {model}")
    made.ContentQualification = "RESEARCH"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(path)


def _segmentation(
    masks: np.ndarray, images: Sequence[Any], mask_classes: Sequence[str], model: str
) -> Any:
    import highdicom
    from pydicom.uid import generate_uid

    segments = [_segment(number, name, model) for number, name in enumerate(mask_classes, start=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the source's own odd names and dates
        return highdicom.seg.Segmentation(
            source_images=images,
            pixel_array=np.ascontiguousarray(masks),
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=generate_uid(None),  # of the root 2.25, which needs no registry
            series_number=_next_number(images[0]),
            sop_instance_uid=generate_uid(None),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=_text(model),
            software_versions=__version__,
            device_serial_number="none",
            content_label="SEGMENTATION",
            content_description=_text(f"{MAKER}: {', '.join(mask_classes)}"),
            # a mask without a voxel keeps its frames: an object must have some
            omit_empty_frames=bool(masks.any()),
        )


def _complete(source: Any) -> Any:
    """Return the source's fields without its pixels, with empty ones where some are missing."""
    image = copy.copy(source)
    for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"):
        if keyword in image:
            del image[keyword]
    for keyword in _REPEATED:
        if keyword not in image:
            setattr(image, keyword, "")
    return image


def _segment(number: int, name: str, model: str) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    category, kind = property_codes(name)
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=_text(name),
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=_text(model), family=codes.cid7162.ArtificialIntelligence, version=__version__
        ),
    )


def property_codes(name: str) -> tuple[Any, Any]:
    """Return the category and type codes of a mask class.

    Well-known organs and lesions have SNOMED CT codes; any other name becomes a private code
    of the scheme 99MEDGAIN, whose meaning is the name itself.
    """
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    word = name.strip().lower()
    if word in _KNOWN:
        keyword, lesion = _KNOWN[word]
        found = getattr(codes.SCT, keyword)
        structure = (
            codes.SCT.MorphologicallyAbnormalStructure if lesion else codes.SCT.AnatomicalStructure
        )
        return structure, found
    short = "".join(letter for letter in word.upper() if letter.isascii() and letter.isalnum())
    private = Code(short[:16] or "CLASS", SCHEME, _text(name))
    return codes.SCT.AnatomicalStructure, private


def _next_number(image: Any) -> int:
    """Return a series number that tells the mask's series from the images'."""
    try:
        return int(image.get("SeriesNumber") or 0) % 100_000 * 1000 + 1
    except (TypeError, ValueError):
        return 1001


def _text(value: str, longest: int = 64) -> str:
    """Return `value` as one DICOM text of at most 64 characters."""
    plain = " ".join("".join(" " if c == "\\" or ord(c) < 32 else c for c in value).split())
    return plain[:longest].rstrip() or "unnamed"
