"""Read masks: from the values in a file to class codes, and what does not fit, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from medgain.files.errors import UnreadableImageError
from medgain.files.images import decode

MOST_CLASSES = 32  # unnamed: a mask with higher values is rather a picture
WHITES = (255, 65535)
MaskKind = Literal["empty", "white", "codes"]


@dataclass(frozen=True)
class MaskRules:
    """Which values a mask may hold.

    Args:
        classes: names of the values 1, 2, …; () where they are not known.
        values: what the files hold for background, class 1, class 2, …; () for 0, 1, 2, …
    """

    classes: tuple[str, ...] = ()
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mask:
    """Class codes (H, W) or (S, H, W) of uint8, and how the file said them."""

    codes: np.ndarray
    kind: MaskKind


def read_mask(
    path: Path, shape: tuple[int, int], rules: MaskRules, max_megapixels: float = 200.0
) -> Mask:
    """Return the mask in an image file: one number per pixel, or black and white.

    Args:
        path: PNG, TIFF, BMP, …; of a palette PNG the palette's numbers count.
        shape: height and width that it must have.
        rules: which values it may hold.
        max_megapixels: larger masks are refused.

    Raises:
        UnreadableImageError: unreadable, in colour, of another size, or with unknown values.
    """
    name = path.name
    pixels = _pixels(path, max_megapixels)
    if pixels.shape != shape:
        raise UnreadableImageError(
            f"its mask {name} is {pixels.shape[1]} × {pixels.shape[0]} px,"
            f" the image {shape[1]} × {shape[0]}"
        )
    return code_mask(pixels, rules, name)


def code_mask(pixels: np.ndarray, rules: MaskRules, name: str) -> Mask:
    """Return the class codes of a mask's values, an array of integers of any shape.

    {0, 255} (or {0, 65535}) is one class, where no values and at most one class are named;
    else the values are the codes themselves, or are listed in `rules.values`.

    Raises:
        UnreadableImageError: a value that is neither; says which.
    """
    present = np.unique(pixels)
    found = [int(value) for value in present]
    if rules.values:
        return _translated(pixels, found, rules, name)
    if found in ([], [0]):
        return Mask(np.zeros(pixels.shape, np.uint8), "empty")
    top = found[-1]
    if top in WHITES and set(found) <= {0, top} and len(rules.classes) <= 1:
        return Mask((pixels == top).astype(np.uint8), "white")
    most = len(rules.classes) or MOST_CLASSES
    unknown = [value for value in found if not 0 <= value <= most]
    if unknown:
        raise UnreadableImageError(_unknown(name, found, unknown, rules))
    return Mask(pixels.astype(np.uint8), "codes")


def whole_numbers(array: np.ndarray, name: str) -> np.ndarray:
    """Return a label volume's voxels as integers.

    Raises:
        UnreadableImageError: some are no whole numbers.
    """
    if array.dtype.kind == "f":
        raise UnreadableImageError(f"label volume {name} holds numbers that are no class numbers")
    return array


def class_names(named: Sequence[str], usual: Sequence[str], highest: int) -> list[str]:
    """Return the names of codes 1 to `highest`: those given, the layout's usual ones, or made up.

    Names given are all kept, though no mask holds the last of them.
    """
    if named:
        return list(named)
    if usual and highest <= len(usual):
        return list(usual[: max(highest, 2)])
    if highest <= 1:
        return ["foreground"]
    return [f"class {code}" for code in range(1, highest + 1)]


def _pixels(path: Path, max_megapixels: float) -> np.ndarray:
    """Return the numbers in a mask file, (H, W) of uint8 or uint16."""
    name = path.name
    try:
        decoded, content = decode(path, max_megapixels)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its mask {name}: {error}") from None
    if content.startswith(b"\x89PNG") and content[25] == 3:  # a palette: numbers, not colours
        import io

        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image)
    if not decoded.is_grey:
        raise UnreadableImageError(
            f"its mask {name} is in colour (three unequal channels); save one number per pixel:"
            " 0 for background, 1, 2, … for classes"
        )
    return decoded.pixels[..., 0]


def _translated(pixels: np.ndarray, found: list[int], rules: MaskRules, name: str) -> Mask:
    unknown = [value for value in found if value not in rules.values]
    if unknown:
        raise UnreadableImageError(
            f"its mask {name} holds {_some(unknown)}; --mask-values names"
            f" {', '.join(map(str, rules.values))}"
        )
    codes = np.zeros(pixels.shape, np.uint8)
    for code, value in enumerate(rules.values):
        codes[pixels == value] = code
    return Mask(codes, "codes" if codes.any() else "empty")


def _unknown(name: str, found: list[int], unknown: list[int], rules: MaskRules) -> str:
    if rules.classes:
        count = len(rules.classes)
        plural = "es" if count > 1 else ""
        return (
            f"its mask {name} holds {_some(unknown)}; --mask-classes names {count} class{plural}"
            f" ({', '.join(f'{k} {c}' for k, c in enumerate(rules.classes, 1))})"
        )
    if len(found) > MOST_CLASSES or name.lower().endswith((".jpg", ".jpeg")):
        why = "a picture, or smeared by JPEG"
    else:
        why = "name what they mean with --mask-values"
    return (
        f"its mask {name} holds {_some(unknown)}: neither 0 and 255 nor class numbers"
        f" (0 to {MOST_CLASSES}); {why}"
    )


def _some(values: list[int]) -> str:
    shown = ", ".join(map(str, values[:4]))
    more = f" and {len(values) - 4} others" if len(values) > 4 else ""
    return f"the value{'s' if len(values) > 1 else ''} {shown}{more}"
