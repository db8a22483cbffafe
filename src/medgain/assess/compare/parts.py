"""What generators are compared on: one training part for all, and held-out real images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medgain.assess.compare.result import ComparisonProtocol
from medgain.assess.score.parts import check_enough
from medgain.generators.base import GENERATORS
from medgain.imageset.imageset import ImageSet
from medgain.imageset.parts import HELD_OUT, TEST, TRAIN, VALIDATION, generator_part, part_names
from medgain.imageset.splits import split_validation
from medgain.runtime.errors import ConfigError, DataError, LeakError, suggest
from medgain.runtime.seeds import SeedTree
from medgain.runtime.settings import ANOTHER_VALUE, read_settings

HELD_OUT_SHARE = 0.25
USEFUL_IMAGES = 200  # below that, intervals are too wide to tell generators apart
LIMIT_IMAGES = 2_000


@dataclass(frozen=True)
class ComparedParts:
    """The training part, what its samples are compared with, and the rule in words.

    Attributes:
        test_used: whether the held-out images are the set's own test part.
    """

    train: ImageSet
    held_out: ImageSet
    rule: str
    test_used: bool


def divide(real: ImageSet, protocol: ComparisonProtocol) -> ComparedParts:
    """Return the parts of `real` that `protocol` asks for; the same for the same protocol.

    Held out is a part of the set's own ("test", "val"), or a share of the training part's groups
    ("0.25"). "auto": the val part if it has `USEFUL_IMAGES` or more of the label, else a share;
    never the test part, since whoever chooses a generator on it and then reports on it has
    selected on the test set. At most `protocol.limit` held-out images are kept.

    Raises:
        ConfigError: no such part, or a share out of range.
        DataError: too few images; a synthetic set.
        LeakError: a group is in both parts.
    """
    if real.card.origin == "synthetic":
        raise DataError(
            f"'{real.card.name}' is synthetic, and generators are compared on real images",
            "give the real set",
        )
    seeds = SeedTree(protocol.seed).child("compare")
    pool, used = generator_part(real, split=protocol.split, label=protocol.label)
    part = _part(real, protocol.held_out, protocol.label)
    if isinstance(part, float):
        rng = seeds.child("hold-out").numpy()
        train_rows, held_rows = split_validation(pool, np.arange(len(pool)), part, rng)
        train, held_out = pool.take(train_rows), pool.take(held_rows)
        share = f"{100 * part:g} % of the groups, drawn by seed {protocol.seed}, are held out"
        rule = f"of {used}, {share}"
    else:
        rows = real.splits == part
        if protocol.label is not None:
            rows &= real.records["label"].to_numpy() == protocol.label
        held_out, train = real.take(rows), pool.take(pool.splits != part)
        if not len(train):
            raise DataError(
                f"nothing is left to train on when the {part} part is held out",
                "choose another --split or --held-out",
            )
        rule = f"the set's own {part} part is held out; trained on {len(train)} of {used}"
    check_enough(held_out, held_out)
    shared = sorted(set(train.groups) & set(held_out.groups))
    if shared:
        raise LeakError(
            f"{len(shared)} groups of '{real.card.name}' are in the training part and in what is"
            f" held out, such as '{shared[0]}'",
            f"use --held-out {HELD_OUT_SHARE}, which divides by group",
        )
    if len(held_out) > protocol.limit:
        rng = seeds.child("limit").numpy()
        kept = np.sort(rng.choice(len(held_out), protocol.limit, replace=False))
        held_out, rule = held_out.take(kept), f"{rule}; {protocol.limit:,} of those are compared"
    return ComparedParts(train, held_out, rule, part == TEST)


def _part(real: ImageSet, held_out: str, label: str | None) -> str | float:
    """Return the name of a part, or the share of the training part to hold out."""
    own = set(part_names(real))
    if held_out == "auto":
        usable = real.splits == VALIDATION
        if label is not None:
            usable &= real.records["label"].to_numpy() == label
        enough = usable.sum() >= USEFUL_IMAGES
        return VALIDATION if TRAIN in own and enough else HELD_OUT_SHARE
    if held_out in own and held_out in HELD_OUT:
        return held_out
    try:
        share = float(held_out)
    except ValueError:
        known = [*sorted(own & set(HELD_OUT)), "auto"]
        raise ConfigError(
            f"--held-out {held_out}: '{real.card.name}' has no such part to hold out",
            suggest(held_out, known) + f" A share such as {HELD_OUT_SHARE} will do too.",
        ) from None
    if not 0 < share < 1:
        raise ConfigError(f"--held-out {held_out} is out of range", "use, say, 0.25")
    return share


def wanted_labels(held_out: ImageSet) -> list[str] | None:
    """Return the labels to draw, those of the held-out images; None for a set without classes."""
    labels = [str(label) for label in held_out.records["label"]]
    return labels if held_out.classes and "" not in labels else None


def check_models(models: list[str], settings: Mapping[str, Any]) -> None:
    """Raise unless every model can be compared and every setting belongs to one of them.

    Args:
        settings: of each model by its name: {"dcgan": {"width": 32}}.

    Raises:
        ConfigError: says which model or setting is wrong, before any work.
        MedgainError: a model needs a package that is not installed.
    """
    if not models:
        raise ConfigError("no generators to compare", "name some: --models dcgan,r3gan")
    if len(set(models)) < len(models):
        raise ConfigError("a generator is named twice in --models", "name each once")
    for name in models:
        kind = GENERATORS.get(name)
        if kind.condition == "image":
            raise ConfigError(
                f"'{name}' translates given images, which those that draw from noise don't get",
                "leave it out; a study compares arms of any kind",
            )
        kind.check_installed()
        read_settings(kind.Config, settings.get(name) or {}, prefix=name, remedy=ANOTHER_VALUE)
    for name in settings:
        if name not in models:
            raise ConfigError(f"--set {name}.…: '{name}' is not compared", suggest(name, models))


def model_folder(out: Path, name: str) -> Path:
    """Return where the model called `name` is kept in the comparison's folder."""
    return out / "models" / name
