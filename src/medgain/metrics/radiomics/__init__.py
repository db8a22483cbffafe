"""Radiomics: features of an image that need no trained network."""
