"""DICOM: Secondary Capture images that say in the standard's own fields that they are synthetic.

Fields of the current standard that serve for it (PS3.3): Synthetic Data (0008,001C) = YES and
Content Qualification (0018,9004) = RESEARCH of the SOP Common module; Contributing Equipment
(0018,A001) with the purpose (109100, DCM, "Synthesizing Equipment"); Conversion Type (0008,0064)
= SYN, "synthetic image"; Image Type (0008,0008) = DERIVED\\SECONDARY; Derivation Description.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from medgain.files.window import dicom_window
from medgain.release.formats import FORMATS
from medgain.release.formats.base import FileFormat, ImageContext, ReleaseContext
from medgain.release.formats.png import decode, encode, png_problems, with_statement
from medgain.runtime.errors import ConfigError
from medgain.runtime.version import __version__

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MAKER = "medgain"
# what a file may hold; anything else in one was put there later
_ALLOWED = """
SpecificCharacterSet ImageType InstanceCreationDate InstanceCreationTime SOPClassUID
SOPInstanceUID SyntheticData StudyDate StudyTime AccessionNumber Modality ConversionType
Manufacturer ReferringPhysicianName StudyDescription SeriesDescription ManufacturerModelName
DerivationDescription PatientName PatientID PatientBirthDate PatientSex ContentQualification
SoftwareVersions ContributingEquipmentSequence StudyInstanceUID SeriesInstanceUID StudyID
SeriesNumber InstanceNumber Laterality PatientOrientation ImageComments SamplesPerPixel
PhotometricInterpretation PlanarConfiguration Rows Columns BitsAllocated BitsStored HighBit
PixelRepresentation BurnedInAnnotation WindowCenter WindowWidth RescaleIntercept RescaleSlope
RescaleType LossyImageCompression PixelData
"""
ALLOWED = frozenset(_ALLOWED.split())
EMPTY = (
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientBirthDate",
    "PatientSex",
    "Laterality",
    "PatientOrientation",
)


@FORMATS.register(
    "dicom",
    summary="Secondary Capture, uncompressed; masks beside as PNG",
    source="DICOM PS3.3, Secondary Capture and SOP Common",
)
class DicomFormat(FileFormat):
    """Secondary Capture; one made-up patient, study and series for each group. Masks are PNG."""

    suffix: ClassVar[str] = ".dcm"
    mask_suffix: ClassVar[str] = ".png"
    media_type: ClassVar[str] = "application/dicom"
    mask_media_type: ClassVar[str] = "image/png"
    sentence: ClassVar[str] = (
        "DICOM Secondary Capture, uncompressed. Synthetic Data (0008,001C) is YES, Conversion Type"
        " SYN, Image Type DERIVED\\SECONDARY; patient names begin with SYNTHETIC; UIDs are new."
        " Masks lie beside as PNG."
    )

    loading: ClassVar[str] = (
        'import pydicom\npixels = pydicom.dcmread("images/image-000001.dcm").pixel_array'
    )
    loaded_by_datasets: ClassVar[bool] = False

    def __init__(self) -> None:
        self._pydicom = _pydicom()
        self._studies: dict[int, tuple[str, str]] = {}
        self._in_group: dict[int, int] = {}
        self._seen: dict[str, str] = {}
        self._twice: list[str] = []

    def check_supported(self, channels: int, bits: int) -> None:
        """Raise for 16-bit colour, which Secondary Capture does not take."""
        if (channels, bits) == (3, 16):
            raise ConfigError("DICOM Secondary Capture takes no 16-bit colour", "use --format png")

    def write_image(self, path: Path, pixels: np.ndarray, context: ImageContext) -> None:
        """Write (H, W, 1 or 3) as Explicit VR Little Endian, with a UID of its own."""
        dataset = self._dataset(context)
        _put_pixels(dataset, pixels, context.release)
        dataset.save_as(path, enforce_file_format=True)

    def read_image(self, path: Path) -> np.ndarray:
        """Return (H, W, C)."""
        pixels = self._pydicom.dcmread(path).pixel_array
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def write_mask(self, path: Path, mask: np.ndarray, context: ImageContext) -> None:
        """Write the codes as grey values of a PNG."""
        path.write_bytes(with_statement(encode(mask[..., None]), context))

    def read_mask(self, path: Path) -> np.ndarray:
        """Return (H, W)."""
        return decode(path.read_bytes())

    def problems(self, path: Path, origin: str) -> list[str]:
        """Return tags that lack, say something else, or have no business in a release."""
        if path.suffix == ".png":
            return png_problems(path, origin)
        dataset = self._pydicom.dcmread(path, stop_before_pixels=True)
        found = [
            f"{element.name} {element.tag} does not belong in a release"
            for element in dataset
            if element.keyword not in ALLOWED
        ]
        found += [f"{key} is not empty" for key in EMPTY if str(dataset.get(key) or "")]
        expected = {
            "SOPClassUID": SECONDARY_CAPTURE,
            "SyntheticData": "YES",
            "ConversionType": "SYN",
            "ImageType": ["DERIVED", "SECONDARY"],
            "ContentQualification": "RESEARCH",
        }
        for key, value in expected.items():
            if dataset.get(key) != value:
                found.append(f"{key} is {dataset.get(key)!r}, not {value!r}")
        for key in ("PatientName", "PatientID"):
            if not str(dataset.get(key, "")).startswith("SYNTHETIC"):
                found.append(f"{key} does not begin with SYNTHETIC")
        uid = str(dataset.get("SOPInstanceUID", ""))
        if uid in self._seen:
            self._twice.append(f"{path.name} has the SOPInstanceUID of {self._seen[uid]}")
        self._seen[uid] = path.name
        return found

    def finish(self) -> list[str]:
        """Return which SOP Instance UIDs are in two files."""
        return self._twice

    def _dataset(self, context: ImageContext) -> Any:
        release, group = context.release, context.group
        self._in_group[group] = self._in_group.get(group, 0) + 1
        if group not in self._studies:
            self._studies[group] = (fresh_uid(), fresh_uid())
        study, series = self._studies[group]
        date, time = release.created.strftime("%Y%m%d"), release.created.strftime("%H%M%S")
        made = "a program that never saw a patient's image"
        if release.origin == "synthetic":
            made = f"the generator {release.generators or 'of unknown name'}"
        of_class = f"; class: {context.label}" if context.label else ""
        values = dict.fromkeys(EMPTY, "") | {
            "SpecificCharacterSet": "ISO_IR 192",
            "ImageType": ["DERIVED", "SECONDARY"],
            "InstanceCreationDate": date,
            "InstanceCreationTime": time,
            "StudyDate": date,
            "StudyTime": time,
            "StudyID": str(group),
            "SOPClassUID": SECONDARY_CAPTURE,
            "SOPInstanceUID": fresh_uid(),
            "SyntheticData": "YES",
            "Modality": "OT",
            "ConversionType": "SYN",
            "Manufacturer": MAKER,
            "StudyDescription": shorten(f"SYNTHETIC {release.title}"),
            "SeriesDescription": shorten(f"SYNTHETIC {release.title}"),
            "ManufacturerModelName": shorten(f"{MAKER} release"),
            "DerivationDescription": shorten(
                f"Synthetic image, drawn by {made}; no acquisition of a patient.", 1024
            ),
            "PatientName": f"SYNTHETIC^{release.key}-{group:06d}",
            "PatientID": f"SYNTHETIC-{release.key}-{group:06d}",
            "ContentQualification": "RESEARCH",
            "SoftwareVersions": __version__,
            "ContributingEquipmentSequence": [self._synthesizer(release)],
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "SeriesNumber": 1,
            "InstanceNumber": self._in_group[group],
            "ImageComments": shorten(release.statement + of_class, 10240),
            "LossyImageCompression": "00",
        }
        if release.origin == "phantom":  # nobody can vouch for what a trained generator writes
            values["BurnedInAnnotation"] = "NO"
        dataset = self._pydicom.Dataset()
        for key, value in values.items():
            setattr(dataset, key, value)
        dataset.file_meta = self._pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = self._pydicom.uid.ExplicitVRLittleEndian
        return dataset

    def _synthesizer(self, release: ReleaseContext) -> Any:
        purpose = self._pydicom.Dataset()
        purpose.CodeValue = "109100"
        purpose.CodingSchemeDesignator = "DCM"
        purpose.CodeMeaning = "Synthesizing Equipment"
        item = self._pydicom.Dataset()
        item.PurposeOfReferenceCodeSequence = [purpose]
        item.Manufacturer = MAKER
        item.ManufacturerModelName = shorten(release.generators or release.origin)
        item.SoftwareVersions = __version__
        return item


def fresh_uid() -> str:
    """Return a new UID of the UUID-derived root 2.25 (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def shorten(text: str, longest: int = 64) -> str:
    """Return `text` as one DICOM value: no backslash, no line breaks, at most `longest` bytes.

    The standard counts characters; some programs count bytes, and to these it has to fit too.
    """
    plain = " ".join("".join(" " if c == "\\" or ord(c) < 32 else c for c in text).split())
    data = plain.encode()
    if len(data) <= longest:
        return plain
    return data[: longest - 3].decode(errors="ignore").rstrip() + "..."


def _put_pixels(dataset: Any, pixels: np.ndarray, release: ReleaseContext) -> None:
    bits = 8 * pixels.dtype.itemsize
    grey = pixels.shape[2] == 1
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = pixels.shape
    dataset.PhotometricInterpretation = "MONOCHROME2" if grey else "RGB"
    if not grey:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    intensity = release.intensity
    if grey and (bits == 16 or intensity.unit or (intensity.scale, intensity.offset) != (1, 0)):
        low = float(pixels.min()) * intensity.scale + intensity.offset
        high = float(pixels.max()) * intensity.scale + intensity.offset
        dataset.RescaleIntercept = f"{intensity.offset:.10g}"
        dataset.RescaleSlope = f"{intensity.scale:.10g}"
        dataset.RescaleType = "HU" if intensity.unit == "HU" else "US"
        centre, width = dicom_window(low, high)
        dataset.WindowCenter = f"{centre:.10g}"
        dataset.WindowWidth = f"{width:.10g}"
    data = np.ascontiguousarray(pixels, dtype=f"<u{bits // 8}").tobytes()
    dataset.add_new("PixelData", "OB" if bits == 8 else "OW", data + b"\x00" * (len(data) % 2))


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError:
        raise ConfigError("DICOM needs the package pydicom", "pip install pydicom") from None
    return pydicom
