"""`ImportOptions`: the one list of an import's options.

The flags of `medgain import`, the keywords of `import_images` and what a card's history says of
an import follow from it. It loads no image library: the command line reads it for its help.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from medgain.files.placement import Fit
from medgain.runtime.errors import ConfigError
from medgain.runtime.options import Option, Options, comma_separated, parsed_by

Colour = Literal["auto", "grey", "rgb"]
Depth = Literal["auto", "8", "16"]


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in comma_separated(text))
    except ValueError:
        raise ConfigError(f"--mask-values {text} are no whole numbers", "write 0,1,2") from None


@dataclass(frozen=True)
class ImportOptions(Options):
    """How to import images. Each option is described by its help; those that need more:

    - `layout`: "auto" takes the most particular layout that matches.
    - `colour`: "auto" stores grey if all images are grey (one channel or three equal ones).
    - `depth`: "auto" stores 16 bits per channel if any image has 16, else 8.
    - `table`: looked for from the current folder or below the source.
    - `image_column`, `label_column`, `group_column`, `split_column`: guessed from usual names if
      None.
    - `group_pattern`: what it captures in an image's path is its group.
    - `strict_groups`: where numbers may restart in each split, take equal ones as one person.
    - `positive`: see `positive_class` if None.
    - `modality`: NIfTI volumes of another than CT are not HU.
    - `mask_classes`: a value beyond those named is an error.
    - `window`: (low, high) or "low,high" in HU, or "file" for the window that a DICOM file
      states. Without it CT is stored in 8 bit from 0 to 400 HU, and in 16 bit as HU + 1024.

    Raises:
        ConfigError: a value that is not known or out of range.
    """

    size_px: Annotated[
        int | None,
        Option("Store N × N pixels. Without it all images must have one size.", flag="--size"),
    ] = None
    fit: Annotated[Fit, Option("Way to a square: pad (black), crop, stretch.")] = "pad"
    layout: Annotated[
        str,
        Option(
            "auto, pairs, nifti, dicom, dicom-label, class-folders, table, flat, …: see the docs."
        ),
    ] = "auto"
    images: Annotated[str | None, Option("Folder of the images, beside the masks'.")] = None
    masks: Annotated[str | None, Option("Folder of the masks, matched by name.")] = None
    mask_classes: Annotated[
        tuple[str, ...],
        Option("Names of the masks' values 1, 2, …: kidney,tumour.", parse=comma_separated),
    ] = ()
    mask_values: Annotated[
        tuple[int, ...],
        Option("What masks hold for background, class 1, …: 0,128,255.", parse=_whole_numbers),
    ] = ()
    window: Annotated[
        tuple[float, float] | Literal["file"] | None,
        Option(
            "DICOM, NIfTI: LOW,HIGH in HU, or file (default for CT: 0,400).",
            parse=parsed_by("medgain.files.window", "parse_window"),
        ),
    ] = None
    slices: Annotated[str, Option("Slices of volumes: all, foreground, or a mask class.")] = "all"
    slice_every: Annotated[int, Option("Of these take every N-th.")] = 1
    series: Annotated[
        str | None,
        Option("DICOM folders of several series: a SeriesInstanceUID, or all."),
    ] = None
    table: Annotated[Path | None, Option("CSV, TSV or Excel: one row per image.")] = None
    image_column: Annotated[str | None, Option("The table's column of files.")] = None
    label_column: Annotated[str | None, Option("The table's column of labels.")] = None
    group_column: Annotated[
        str | None, Option("The table's column of patients, lesions or cases.")
    ] = None
    split_column: Annotated[str | None, Option("The column of train/val/test.")] = None
    group_pattern: Annotated[
        str | None, Option("Regular expression: what it captures in a path is a group.")
    ] = None
    strict_groups: Annotated[bool, Option("Equal patient numbers are one person in any split.")] = (
        False
    )
    colour: Annotated[Colour, Option("auto, grey or rgb.")] = "auto"
    depth: Annotated[Depth, Option("Bits per channel: auto, 8 or 16.")] = "auto"
    positive: Annotated[str | None, Option('The class that "positive" means.')] = None
    name: Annotated[str | None, Option("Name of the set (default: that of OUT).")] = None
    modality: Annotated[str, Option("Such as X-ray; for the card.")] = "unknown"
    licence: Annotated[str, Option("Of the images; for the card.")] = "unknown"
    skip_unreadable: Annotated[
        bool, Option("Go on without unreadable files; the card lists them.")
    ] = False
    max_megapixels: Annotated[float, Option("Larger images are refused.")] = 200.0
    workers: Annotated[
        int | None, Option("Threads (default: all cores).", min=1, recorded=False)
    ] = None
    overwrite: Annotated[bool, Option("Replace an existing set.", recorded=False)] = False

    def check(self) -> None:
        """Raise `ConfigError` for sizes out of range and mask names that don't fit the values."""
        if self.size_px is not None and not 1 <= self.size_px <= 4096:
            raise ConfigError(f"--size {self.size_px} is out of range", "choose 1 to 4096 px")
        if self.slice_every < 1:
            raise ConfigError(f"--slice-every {self.slice_every} is out of range", "1 takes all")
        names, values = self.mask_classes, self.mask_values
        twice = next((name for name in names if names.count(name) > 1 or not name.strip()), None)
        if twice is not None:
            raise ConfigError(
                f"--mask-classes {','.join(names)}: '{twice}' is empty or appears twice",
                "name the masks' values 1, 2, … in order, without the background",
            )
        if values and (len(values) < 2 or len(set(values)) < len(values)):
            raise ConfigError(
                f"--mask-values {','.join(map(str, values))} are not two or more different values",
                "give the background's value and then that of each class",
            )
        if names and values and len(values) != len(names) + 1:
            raise ConfigError(
                f"--mask-values names {len(values)} values, --mask-classes {len(names)} classes",
                "give the background's value and then that of each class",
            )
        if max(len(names), len(values) - 1) > 255:
            raise ConfigError("masks hold at most 255 classes", "import fewer")

    @property
    def ct(self) -> bool:
        """Whether NIfTI volumes, which name no modality, are taken as CT in HU."""
        return self.modality.upper() in ("UNKNOWN", "CT")
