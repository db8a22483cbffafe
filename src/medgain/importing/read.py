"""What is made of one item: an image, or the chosen slices of a volume, with their masks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medgain.files.dicom import read_series
from medgain.files.dicom_series import read_header
from medgain.files.errors import UnreadableImageError
from medgain.files.images import decode
from medgain.files.masks import Mask, MaskKind, MaskRules, code_mask, read_mask, whole_numbers
from medgain.files.nifti import check_aligned, read_nifti
from medgain.files.pixels import Volume, check_size
from medgain.files.placement import Placement
from medgain.files.resize import fit_image
from medgain.files.window import Scaling, choose_scaling, to_stored
from medgain.importing.layouts.base import Item, VolumeFiles
from medgain.importing.options import ImportOptions
from medgain.importing.store import as_type


@dataclass(frozen=True)
class Read:
    """Pixels as they will be stored, or why there are none; more where there is a mask or volume.

    Args:
        item: what it comes from.
        pixels: (H, W, C), or None.
        height_px: of the source.
        width_px: of the source.
        source_sha256: of the file's bytes.
        reason: why there are no pixels.
        mask: class codes (H, W) of uint8 as they will be stored.
        mask_kind: how its file said them.
        mask_name: name of its file.
        slice_number: position in its series or volume.
        image_id: of a slice.
        source: path below the source folder, of a slice.
        spacing_mm: of stored rows and columns.
        scaling: from values to stored ones, of a volume.
        modality: of a volume.
        notes: for the card.
    """

    item: Item
    pixels: np.ndarray | None = None
    height_px: int = 0
    width_px: int = 0
    source_sha256: str = ""
    reason: str = ""
    mask: np.ndarray | None = None
    mask_kind: MaskKind = "empty"
    mask_name: str = ""
    slice_number: int | None = None
    image_id: str = ""
    source: str = ""
    spacing_mm: tuple[float, float] | None = None
    scaling: Scaling | None = None
    modality: str = "unknown"
    notes: tuple[str, ...] = ()

    def without_arrays(self) -> Read:
        """Return what is to be remembered of it once pixels and mask are stored."""
        return replace(self, pixels=None, mask=None)


def read_image(item: Item, options: ImportOptions) -> Read:
    """Return the image of an item with its mask, or a `Read` that says why there is none."""
    try:
        decoded, content = decode(item.path, options.max_megapixels)
        pixels = decoded.pixels
        height, width = pixels.shape[:2]
        rules = MaskRules(options.mask_classes, options.mask_values)
        mask = (
            read_mask(item.mask, (height, width), rules, options.max_megapixels)
            if item.mask
            else None
        )
    except UnreadableImageError as error:
        return Read(item, reason=str(error))
    if options.colour == "grey" or (options.colour == "auto" and decoded.is_grey):
        pixels = pixels[..., :1] if decoded.is_grey else as_type(pixels, 1, pixels.dtype)
    elif options.colour == "rgb":
        pixels = as_type(pixels, 3, pixels.dtype)
    if options.depth != "auto":
        pixels = as_type(pixels, pixels.shape[2], np.dtype(f"u{int(options.depth) // 8}"))
    if options.size_px is not None:
        pixels = fit_image(np.ascontiguousarray(pixels), options.size_px, options.fit)
    placement = Placement(height, width, options.size_px, options.fit)
    return Read(
        item,
        pixels,
        height,
        width,
        hashlib.sha256(content).hexdigest(),
        mask=None if mask is None else placement.place_mask(mask.codes),
        mask_kind="empty" if mask is None else mask.kind,
        mask_name="" if item.mask is None else item.mask.name,
    )


def read_slices(item: Item, options: ImportOptions, names: tuple[str, ...]) -> list[Read]:
    """Return the slices of a volume that are chosen, or one `Read` that says why there are none.

    Args:
        item: with its `volume`.
        options: of the import.
        names: mask classes as far as they are known, for `--slices NAME`.
    """
    assert item.volume is not None
    try:
        volume, mask = _read_volume(item.volume, item.path, options)
        unit = "HU" if item.volume.kind == "nifti" and options.ct else None
        bits = 16 if options.depth == "16" else 8
        scaling = choose_scaling(volume, options.window, bits, unit)
    except UnreadableImageError as error:
        return [Read(item, reason=str(error))]
    chosen = choose_slices(None if mask is None else mask.codes, len(volume.pixels), options, names)
    height, width = volume.pixels.shape[1:]
    placement = Placement(height, width, options.size_px, options.fit)
    hashes = _Hashes(item.volume)
    reads = []
    for index in chosen:
        pixels = to_stored(volume.pixels[index], scaling.intensity, bits)[..., None]
        if options.colour == "rgb":
            pixels = as_type(pixels, 3, pixels.dtype)
        if options.size_px is not None:
            pixels = fit_image(pixels, options.size_px, options.fit)
        reads.append(
            Read(
                item,
                pixels,
                height,
                width,
                hashes.of(volume.names[index]),
                mask=None if mask is None else placement.place_mask(mask.codes[index]),
                mask_kind="empty" if mask is None else mask.kind,
                mask_name=_mask_name(item.volume, index, volume),
                slice_number=volume.numbers[index],
                image_id=_image_id(item, volume, index),
                source=_source(item, volume, index),
                spacing_mm=placement.stored_spacing_mm(*volume.spacing_mm[1:]),
                scaling=scaling,
                modality=volume.modality,
                notes=volume.notes,
            )
        )
    return reads


def choose_slices(
    codes: np.ndarray | None, count: int, options: ImportOptions, names: tuple[str, ...]
) -> list[int]:
    """Return which of `count` slices are kept: those with the class that `--slices` names.

    Of these every `--slice-every`-th is taken, from the first on.
    """
    if options.slices == "all" or codes is None:
        kept = np.arange(count)
    else:
        wanted = codes > 0 if options.slices == "foreground" else codes == code_of(options, names)
        kept = np.flatnonzero(wanted.reshape(count, -1).any(axis=1))
    return [int(index) for index in kept[:: options.slice_every]]


def code_of(options: ImportOptions, names: tuple[str, ...]) -> int:
    """Return the code of the class that `--slices` names ("tumour", or "class 2")."""
    name = options.slices
    return names.index(name) + 1 if name in names else int(name.removeprefix("class "))


def _read_volume(
    files: VolumeFiles, path: Path, options: ImportOptions
) -> tuple[Volume, Mask | None]:
    rules = MaskRules(options.mask_classes, options.mask_values)
    if files.kind == "dicom":
        headers = [read_header(file) for file in files.files]
        volume = read_series(
            headers, path, by_position=files.by_position, max_megapixels=options.max_megapixels
        )
        return volume, _read_slice_masks(files, volume, rules) if files.masks else None
    volume = read_nifti(files.files[0])
    _, height, width = volume.pixels.shape
    check_size(height, width, options.max_megapixels)
    if not files.masks:
        return volume, None
    try:
        labels = read_nifti(files.masks[0])
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its label volume {files.masks[0].name}: {error}") from None
    check_aligned(labels, volume)
    name = files.masks[0].name
    return volume, code_mask(whole_numbers(labels.pixels, name), rules, name)


def _read_slice_masks(files: VolumeFiles, volume: Volume, rules: MaskRules) -> Mask:
    if len(files.masks) != len(volume.pixels):
        raise UnreadableImageError(f"{len(volume.pixels)} slices, but {len(files.masks)} masks")
    height, width = volume.pixels.shape[1:]
    masks = []
    for name, path in zip(volume.names, files.masks, strict=True):
        try:
            masks.append(read_mask(path, (height, width), rules))
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{name}: {error}") from None
    kinds = {mask.kind for mask in masks} - {"empty"}
    if len(kinds) > 1:
        raise UnreadableImageError(
            "its masks hold 0 and 255 in some slices, class numbers in others"
        )
    codes = np.stack([mask.codes for mask in masks])
    return Mask(codes, "white" if kinds == {"white"} else "codes" if kinds else "empty")


class _Hashes:
    """SHA-256 of each source file, read once however many slices come from it."""

    def __init__(self, files: VolumeFiles) -> None:
        self._paths = {path.name: path for path in files.files}
        self._known: dict[str, str] = {}

    def of(self, name: str) -> str:
        file = name.split("#")[0]
        if file not in self._known:
            with self._paths[file].open("rb") as opened:
                self._known[file] = hashlib.file_digest(opened, "sha256").hexdigest()
        return self._known[file]


def _image_id(item: Item, volume: Volume, index: int) -> str:
    if item.volume is not None and item.volume.kind == "nifti":
        return f"{item.image_id}_{volume.numbers[index]:04d}"
    return _below(item, without_dicom_suffix(volume.names[index]))


def without_dicom_suffix(name: str) -> str:
    """Return a file's name without .dcm; other endings may be parts of an identifier."""
    file, mark, frame = name.partition("#")
    stem = file[:-4] if file.lower().endswith((".dcm", ".ima")) else file
    return stem + mark + frame


def _source(item: Item, volume: Volume, index: int) -> str:
    return _below(item, volume.names[index])


def _below(item: Item, name: str) -> str:
    folder = item.relative.rpartition("/")[0]
    return f"{folder}/{name}" if folder else name


def _mask_name(files: VolumeFiles, index: int, volume: Volume) -> str:
    if not files.masks:
        return ""
    return files.masks[index if len(files.masks) == len(volume.pixels) else 0].name
