"""Windows: what DICOM says of one and what was meant are inverses."""

import pytest

from medgain.files.window import dicom_window, frame_window

pydicom = pytest.importorskip("pydicom")


@pytest.mark.parametrize(("low", "high"), [(0.0, 255.0), (-160.0, 240.0), (-1024.0, 3071.0)])
def test_a_window_that_is_written_is_read_back(low, high):
    dataset = pydicom.Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = dicom_window(low, high)
    assert frame_window(dataset, 0) == (low, high)


def test_the_window_of_an_inverted_image_is_inverted_too():
    dataset = pydicom.Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.BitsStored, dataset.PixelRepresentation = 8, 0
    dataset.WindowCenter, dataset.WindowWidth = dicom_window(10.0, 100.0)
    assert frame_window(dataset, 0) == (155.0, 245.0)


def test_a_file_without_a_window_has_none():
    assert frame_window(pydicom.Dataset(), 0) is None
