"""What an audit may compare: sets of one shape, and a hold-out apart from the training set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError, DataError, LeakError, suggest

OnOverlap = Literal["error", "drop"]
_NAMED = 5


@dataclass(frozen=True)
class AuditSets:
    """The three sets of an audit, checked; `notes` say what had to be done or can't be known."""

    synthetic: ImageSet
    train: ImageSet
    holdout: ImageSet
    notes: list[str] = field(default_factory=list)


def real_parts(
    train: ImageSet,
    holdout: ImageSet | None = None,
    train_split: str | None = None,
    holdout_split: str | None = None,
    label: str | None = None,
) -> tuple[ImageSet, ImageSet]:
    """Return the training images and the held-out ones, from two sets or from parts of one.

    Raises:
        ConfigError: one set is given for both without a split for each, or a split or label
            names no image.
    """
    if holdout is None and (train_split is None or holdout_split is None):
        raise ConfigError(
            "there is no hold-out: real images that the generator never saw calibrate the audit",
            "pass --holdout SET; or, where one set holds both, --train-split and --holdout-split",
        )
    other = train if holdout is None else holdout
    parts = [take_split(train, train_split), take_split(other, holdout_split)]
    if label is not None:
        parts = [_take_label(part, label) for part in parts]
    return parts[0], parts[1]


def open_features(
    spec: str, weights: Path | None = None, device: str = "auto"
) -> Callable[[ImageSet], np.ndarray] | None:
    """Return the extractor that `spec` names; None for the audit's own, "gradients"."""
    if spec == "gradients":
        return None
    from medgain.assess.extractors import open_extractor
    from medgain.runtime.device import resolve_device

    return open_extractor(spec, weights=weights, device=resolve_device(device))


def take_split(image_set: ImageSet, split: str | Sequence[str] | None) -> ImageSet:
    """Return the part of a set that came in `split` ("train", or "train,val"); all for None.

    Raises:
        ConfigError: no image is in one of the named splits.
    """
    if split is None:
        return image_set
    names = split.split(",") if isinstance(split, str) else list(split)
    known = sorted({str(name) for name in image_set.splits})
    for name in names:
        if name not in known:
            raise ConfigError(
                f"no image of '{image_set.card.name}' is in split '{name}'",
                f"its splits are: {', '.join(repr(known_name) for known_name in known)}",
            )
    return image_set.take(np.isin(image_set.splits.astype(str), names), step=f"split {names}")


def _take_label(part: ImageSet, label: str) -> ImageSet:
    chosen = (part.records["label"] == label).to_numpy()
    if not chosen.any():
        raise ConfigError(
            f"no image of '{part.card.name}' has label '{label}'",
            suggest(label, {str(name) for name in part.records["label"]}),
        )
    return part.take(chosen, step=f"label {label}")


def check_sets(
    synthetic: ImageSet, train: ImageSet, holdout: ImageSet, on_overlap: OnOverlap = "error"
) -> AuditSets:
    """Return the sets, fit to be compared.

    Args:
        on_overlap: "error" refuses a hold-out that shares images or groups with the training
            set; "drop" takes them out of the hold-out and says so.

    Raises:
        DataError: a set is empty, or sizes or channels differ.
        LeakError: the hold-out shares images or groups with the training set.
    """
    for role, part in (("synthetic", synthetic), ("training", train), ("hold-out", holdout)):
        if len(part) == 0:
            raise DataError(
                f"the {role} set '{part.card.name}' holds no image", "give one that does"
            )
    for role, part in (("training", train), ("hold-out", holdout)):
        if part.images.shape[1:] != synthetic.images.shape[1:]:
            raise DataError(
                f"synthetic images are {_shape(synthetic)}, those of the {role} set"
                f" '{part.card.name}' {_shape(part)}",
                "import the real images with the --size and --colour that the generator saw",
            )
    if on_overlap not in ("error", "drop"):
        raise ConfigError(f"on_overlap is '{on_overlap}'", "use 'error' or 'drop'")
    kept, notes = _without_overlap(train, holdout, on_overlap)
    if not (train.card.groups_known and holdout.card.groups_known):
        notes.append(
            "Patient ids unknown: images of one patient may be in the training set and in the"
            " hold-out, which makes the thresholds too strict and copies harder to see."
        )
    return AuditSets(synthetic, train, kept, notes)


def _without_overlap(
    train: ImageSet, holdout: ImageSet, on_overlap: OnOverlap
) -> tuple[ImageSet, list[str]]:
    same = holdout.records["sha256"].isin(train.records["sha256"]).to_numpy()
    shared = np.zeros(len(holdout), bool)
    if train.card.groups_known and holdout.card.groups_known:
        shared = np.isin(holdout.groups.astype(str), np.unique(train.groups.astype(str)))
    if not (same | shared).any():
        return holdout, []
    found = []
    if same.any():
        found.append(
            f"{same.sum():,} of its images are in the training set ({_some(holdout, same)})"
        )
    if shared.any():
        groups = len(np.unique(holdout.groups[shared].astype(str)))
        found.append(
            f"{shared.sum():,} of its images are of {groups:,} groups (patients) that the training"
            f" set has too ({_some(holdout, shared)})"
        )
    if on_overlap == "error" or (same | shared).all():
        raise LeakError(
            f"the hold-out '{holdout.card.name}' is not held out: " + "; ".join(found),
            "give images of other patients: such a hold-out weakens the calibration"
            + ("" if (same | shared).all() else ", or pass --on-overlap drop to leave these out"),
        )
    note = f"{(same | shared).sum():,} images were left out of the hold-out: " + "; ".join(
        text.split(" (", 1)[0] for text in found
    )
    return holdout.take(~(same | shared), step="without what training holds"), [note + "."]


def _some(image_set: ImageSet, chosen: np.ndarray) -> str:
    names = image_set.records["image_id"].to_numpy(dtype=object)[chosen]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(str(name) for name in names[:_NAMED]) + more


def _shape(part: ImageSet) -> str:
    height, width = part.size_px
    return f"{width} × {height} px with {part.channels} channel{'s' if part.channels > 1 else ''}"
