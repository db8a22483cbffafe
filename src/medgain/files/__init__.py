"""Floor 1: readers of other people's files: images, DICOM, NIfTI and masks."""
