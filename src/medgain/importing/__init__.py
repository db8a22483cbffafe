"""Importing: folders and tables of images, in other people's layouts, become image sets."""

from __future__ import annotations

from medgain.importing.run import import_images as import_images

__all__ = ["import_images"]
