"""A slice with its masks as layers of SVG: each picture and each outline is in the page once.

Pixels of the slice are the drawing's units, so that a crop or an enlargement is a view box and
costs nothing: panels and enlarged edges show the same layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from medgain.report.shared.outlines import mask_path
from medgain.report.shared.pictures import Pixels, png

Codes = NDArray[np.int64]
Case = dict[str, Any]  # one of the cases in panels.json
ROLES = {"best": "Best case", "median": "Median case", "worst": "Worst case"}
COLOURS = 6  # k1 … k6 in segmentation.css


@dataclass(frozen=True)
class Box:
    """A part of the slice in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Scene:
    """One slice with its true mask and one predicted mask per arm.

    Attributes:
        key: unique within the page; letters and digits.
        image: (H, W, C) uint8 with one or three channels.
        truth: (H, W) class codes, 0 = background.
        predicted: arm → (H, W) class codes.
        classes: number of foreground classes.
    """

    key: str
    image: Pixels
    truth: Codes
    predicted: dict[str, Codes]
    classes: int

    @property
    def size_px(self) -> tuple[int, int]:
        """Return height and width."""
        return self.truth.shape[0], self.truth.shape[1]

    @cached_property
    def whole(self) -> Box:
        """Return the box of the whole slice."""
        return Box(0, 0, self.size_px[1], self.size_px[0])

    @cached_property
    def _paths(self) -> dict[str, str]:
        """Return the outline of each class, true ("t1") and predicted ("0-1": arm 0, class 1)."""
        masks = {"t": self.truth}
        masks |= {f"{n}-": mask for n, mask in enumerate(self.predicted.values())}
        paths = {
            f"{name}{code}": mask_path(mask == code)
            for name, mask in masks.items()
            for code in range(1, self.classes + 1)
        }
        return {name: path for name, path in paths.items() if path}

    def definitions(self, most_px: int) -> Markup:
        """Return the picture, at most `most_px` high and wide, and the outlines, all unseen."""
        height, width = self.size_px
        channels = self.image[..., 0] if self.image.shape[-1] == 1 else self.image
        picture = Image.fromarray(np.ascontiguousarray(channels))
        if max(picture.size) > most_px:
            picture.thumbnail((most_px, most_px), Image.Resampling.BOX)
        parts = [
            Markup(
                '<image id="{}-i" width="{}" height="{}" preserveAspectRatio="none" href="{}"/>'
            ).format(self.key, width, height, png(picture))
        ]
        parts += [
            Markup('<path id="{}-{}" class="shape" d="{}"/>').format(self.key, name, path)
            for name, path in self._paths.items()
        ]
        return Markup("").join(parts)

    def tile(
        self,
        box: Box,
        alternative: str,
        *,
        picture: bool = True,
        filled: str | None = None,
        outlined: str | None = None,
        only: int | None = None,
        frame: Box | None = None,
        css: str = "scan",
    ) -> Markup:
        """Return a drawing of `box`.

        Args:
            alternative: what a screen reader says.
            picture: whether the slice is the ground, or plain black.
            filled, outlined: "truth" or an arm whose mask is drawn so.
            only: the one class to draw; all if None.
            frame: a part of the slice to mark by a frame.
        """
        codes = range(1, self.classes + 1) if only is None else (only,)
        parts = [self._use("i", "")] if picture else []
        if filled:
            solid = "fill" if picture else "solid"
            parts += [self._use(self._name(filled, c), f"{solid} {colour(c)}") for c in codes]
        if outlined:
            for layer in ("halo", "edge"):
                parts += [self._use(self._name(outlined, c), layer) for c in codes]
        if frame:
            parts.append(
                Markup('<rect x="{}" y="{}" width="{}" height="{}" class="frame"/>').format(
                    frame.x, frame.y, frame.width, frame.height
                )
            )
        head = Markup('<svg viewBox="{} {} {} {}" class="{}" role="img" aria-label="{}">').format(
            box.x, box.y, box.width, box.height, css, alternative
        )
        return head + Markup("").join(parts) + Markup("</svg>")

    def holds(self, whose: str, code: int) -> bool:
        """Tell whether a class is in the mask of "truth" or an arm."""
        return self._name(whose, code) in self._paths

    def _name(self, whose: str, code: int) -> str:
        if whose == "truth":
            return f"t{code}"
        return f"{list(self.predicted).index(whose)}-{code}"

    def _use(self, name: str, css: str) -> Markup:
        if name != "i" and name not in self._paths:
            return Markup("")
        return Markup('<use href="#{}-{}" class="{}"/>').format(self.key, name, css)


def colour(code: int) -> str:
    """Return the CSS class of a mask class's colour."""
    return f"k{(code - 1) % COLOURS + 1}"


def interest(scene: Scene, margin: float = 0.12, least: float = 0.4) -> Box:
    """Return the square around every region, true and predicted; the whole slice if most of it.

    Args:
        margin: free space on each side, of the regions' extent.
        least: the smallest side, of the slice's shorter side.
    """
    height, width = scene.size_px
    seen = scene.truth > 0
    for mask in scene.predicted.values():
        seen = seen | (mask > 0)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not len(rows):
        return scene.whole
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = max(round(extent * (1 + 2 * margin)), round(least * min(height, width)))
    if side > 0.75 * min(height, width):
        return scene.whole
    return around((rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2, side, scene)


def around(row: float, column: float, side: int, scene: Scene) -> Box:
    """Return the square of `side` pixels around a point, moved to lie within the slice."""
    height, width = scene.size_px
    side = min(side, height, width)
    x = min(max(round(column - side / 2), 0), width - side)
    y = min(max(round(row - side / 2), 0), height - side)
    return Box(x, y, side, side)


def most_contested(scene: Scene, arms: list[str], side: int) -> Box:
    """Return the square of `side` pixels with most of what tells the arms' edges apart.

    Counted are pixels where some arms are right and others are not, and half as much the pixels
    on both sides of the true outline, so that an edge is in view.
    """
    wrong = np.stack([scene.predicted[arm] != scene.truth for arm in arms])
    contested = wrong.any(axis=0) & ~wrong.all(axis=0)
    counted: Codes = np.where(contested, 2, 0).astype(np.int64)
    changes = scene.truth[1:] != scene.truth[:-1]
    counted[1:] += changes
    counted[:-1] += changes
    changes = scene.truth[:, 1:] != scene.truth[:, :-1]
    counted[:, 1:] += changes
    counted[:, :-1] += changes
    height, width = scene.size_px
    side = min(side, height, width)
    total = np.pad(counted, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    best = np.argwhere(sums == sums.max())
    y, x = best[len(best) // 2].tolist()
    return Box(x, y, side, side)


def tile(drawing: Markup, label: str = "", css: str = "") -> dict[str, Any]:
    """Return a drawing as the page shows it: with a label in a class's colour."""
    return {"drawing": drawing, "label": label, "css": css}


def role_name(case: Case) -> str:
    """Return "Worst case", "Median case" or "Best case"."""
    return ROLES.get(str(case.get("role")), "Case")


def case_name(case: Case) -> str:
    """Return "case_00034, image 0120"; the image alone where its name tells the group."""
    image, group = str(case.get("image_id") or ""), str(case.get("group") or "")
    return image if group in image or image in group else f"{group}, image {image}"
