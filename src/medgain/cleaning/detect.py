"""Look at every image of a set with every detector that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from medgain.cleaning.detectors import DETECTORS
from medgain.cleaning.settings import DUPLICATES, KindSettings
from medgain.cleaning.view import Box, View, make_view
from medgain.files.placement import Placement
from medgain.imageset.imageset import ImageSet, content_hash
from medgain.runtime.progress import progress


@dataclass(frozen=True)
class Finding:
    """What a detector says of a set.

    Args:
        scores: (N,) float64; NaN where it can say nothing of an image.
        found: (N,) bool, the score reaches the threshold.
    """

    scores: np.ndarray
    found: np.ndarray


class ImageViews:
    """The views of a set's images, made when asked for."""

    def __init__(self, image_set: ImageSet) -> None:
        self.image_set = image_set
        self.white = levels_in_use(image_set) - 1
        self._box = _boxes(image_set)

    def __getitem__(self, position: int) -> View:
        """Return the view of the image at `position`."""
        image = np.asarray(self.image_set.images[position])
        return make_view(
            image, self.white, self._box(position), intact=is_intact(self.image_set, position)
        )

    def __iter__(self) -> Iterator[View]:
        return (self[position] for position in range(len(self.image_set)))


def detect(
    image_set: ImageSet, settings: Mapping[str, KindSettings], *, quiet: bool = False
) -> dict[str, Finding]:
    """Return a finding for each kind but duplicates that is looked for."""
    chosen = {k: DETECTORS.get(k) for k, s in settings.items() if k != DUPLICATES and s.enabled}
    detectors = {kind: detector() for kind, detector in chosen.items()}
    scores = {kind: np.full(len(image_set), np.nan) for kind in detectors}
    with progress("detect", len(image_set), quiet=quiet) as advance:
        for position, view in enumerate(ImageViews(image_set)):
            for kind, detector in detectors.items():
                if view.side >= detector.smallest_px and (view.colour or not detector.colour_only):
                    scores[kind][position] = detector.score(view)
            advance(1, "")
    return {
        kind: Finding(values, values >= settings[kind].threshold)  # NaN is never found
        for kind, values in scores.items()
    }


def is_intact(image_set: ImageSet, position: int) -> bool:
    """Tell whether an image and its mask match their checksums."""
    records = image_set.records
    if content_hash(np.asarray(image_set.images[position])) != records["sha256"].iloc[position]:
        return False
    if image_set.masks is None or "mask_sha256" not in records:
        return True
    mask = np.asarray(image_set.masks[position])
    return bool(content_hash(mask) == records["mask_sha256"].iloc[position])


def levels_in_use(image_set: ImageSet) -> int:
    """Return how many grey levels the format uses: 256, or for 16 bit a power of two that fits.

    Many 16-bit files hold 10 or 12 bits: contrast is judged against those.
    """
    if image_set.images.dtype == np.uint8:
        return 256
    largest = max(
        (
            int(np.asarray(image_set.images[i : i + 256]).max())
            for i in range(0, len(image_set), 256)
        ),
        default=0,
    )
    return 1 << max(largest.bit_length(), 8)


def _boxes(image_set: ImageSet) -> Callable[[int], Box | None]:
    """Return where each image lies in what is stored, if an import padded it to a square."""
    step = next((step for step in image_set.card.history if step.get("step") == "import"), {})
    size, records = step.get("size_px"), image_set.records
    padded = (
        isinstance(size, int) and step.get("fit") == "pad" and image_set.size_px == (size, size)
    )
    if not padded or not {"height_px", "width_px"} <= set(records.columns):
        return lambda position: None
    heights, widths = records["height_px"].to_numpy(), records["width_px"].to_numpy()

    def box(position: int) -> Box | None:
        return Placement(int(heights[position]), int(widths[position]), size, "pad").box

    return box
