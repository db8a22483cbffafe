"""`PredictOptions`: how to predict, on the command line and in Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from medgain.runtime.options import Option, Options, parsed_by

Overlays = Literal["some", "all", "none"]


@dataclass(frozen=True)
class PredictOptions(Options):
    """How to predict new images.

    - `window`: (low, high), "low,high" or "file", in place of the model's own.
    - `split`: of an image set.
    - `overlays`: "some" are all images, and a dozen slices of each volume.

    Raises:
        ConfigError: a value that is not known.
    """

    window: Annotated[
        tuple[float, float] | Literal["file"] | None,
        Option(
            "Values of volumes that are black and white, LOW,HIGH, or file;"
            " by default as the training images.",
            parse=parsed_by("medgain.files.window", "parse_window"),
        ),
    ] = None
    split: Annotated[str | None, Option("Part of an image set; by default all of it.")] = None
    series: Annotated[
        str | None, Option("SeriesInstanceUID: the only DICOM series to predict.")
    ] = None
    overlays: Annotated[Overlays, Option("some (a dozen slices of each volume), all or none.")] = (
        "some"
    )
    skip_unreadable: Annotated[bool, Option("Go on without unreadable files; they are listed.")] = (
        False
    )
    max_megapixels: Annotated[float, Option("Larger images are refused.")] = 200.0
