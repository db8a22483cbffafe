"""Write a predicted mask as a NIfTI label volume in the very grid of its source volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medgain.runtime.errors import DataError
from medgain.runtime.version import __version__


def write_nifti(path: Path, labels: np.ndarray, source: Path) -> None:
    """Write `labels` to `path` with the affines, units and shape of the volume in `source`.

    Both of the header's transforms (qform and sform) and their codes are kept, so that every
    program places the mask where it places the volume. Header extensions, which may hold a
    patient's data, are not.

    Args:
        labels: uint8, codes, in the source's own array order.

    Raises:
        DataError: `labels` has not the shape of the source.
    """
    import nibabel

    volume: Any = nibabel.load(source)
    shape = tuple(volume.shape)
    if labels.shape != shape:
        if labels.shape != tuple(side for side in shape if side != 1):
            raise DataError(f"{source} is {shape}, its mask {labels.shape}")
        labels = labels.reshape(shape)
    known = isinstance(volume, (nibabel.Nifti1Image, nibabel.Nifti2Image))
    kind: Any = nibabel.Nifti2Image if isinstance(volume, nibabel.Nifti2Image) else None
    kind = kind or nibabel.Nifti1Image
    made = kind(np.ascontiguousarray(labels, dtype=np.uint8), volume.affine)
    if known:
        old = volume.header
        made.set_qform(old.get_qform(coded=False), int(old["qform_code"]))
        made.set_sform(old.get_sform(coded=False), int(old["sform_code"]))
        made.header.set_zooms(old.get_zooms()[: labels.ndim])
        made.header.set_xyzt_units(*old.get_xyzt_units())
    made.header.set_intent("label", name="segmentation")
    made.header["descrip"] = f"medgain {__version__} segmentation".encode()[:79]
    nibabel.save(made, path)
