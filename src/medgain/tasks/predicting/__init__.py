"""Predict with a saved model: masks, DICOM SEG, NIfTI label volumes, or class probabilities."""
