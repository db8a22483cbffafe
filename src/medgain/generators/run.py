"""A generator's run from the outside: choose the training part, train, save; load and sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medgain.generators.base import (
    CONFIG_NAME,
    GENERATORS,
    Budget,
    FitContext,
    FitReport,
    Generator,
)
from medgain.generators.kinds.per_class import PerClass
from medgain.generators.kinds.translation.generator import Translator
from medgain.generators.saved import read_description
from medgain.generators.training.parallel import join_world
from medgain.imageset.imageset import ImageSet
from medgain.imageset.parts import generator_part, generator_validation_part, given_part
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.seeds import SeedTree
from medgain.runtime.settings import ANOTHER_VALUE, read_settings

DEFAULT_COUNT = 100


@dataclass(frozen=True)
class GeneratorRun:
    """A finished run. `used` says in a sentence which images were trained on."""

    folder: Path
    report: FitReport
    used: str


def new_generator(
    name: str, settings: Mapping[str, Any], real: ImageSet
) -> tuple[Generator[Any], int]:
    """Return a new generator for `real` with `settings` over its defaults, and of how many it is.

    One that learns a single class is one per class where `real` has several.

    Raises:
        ConfigError: no such generator, an unknown setting, or a value that does not fit.
        MedgainError: it needs a package that is not installed; says how to install it.
    """
    kind = GENERATORS.get(name)
    kind.check_installed()
    config = read_settings(kind.Config, settings, prefix="config", remedy=ANOTHER_VALUE)
    labels = set(real.records["label"])
    if kind.learns == "one class" and len(labels) > 1:
        return PerClass(name, config), len(labels)
    return kind(config), 1


def train_generator(
    image_set: ImageSet,
    name: str,
    context: FitContext,
    *,
    label: str | None = None,
    split: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> GeneratorRun:
    """Train the generator called `name` on the training part of `image_set`, and save it.

    Args:
        context: its folder receives the run and the trained generator.
        label: train on this class; without it, one generator per class present.
        split: the part to train on; see `generator_part`.
        settings: {"config": {...}, "budget": {...}} over the defaults.

    Raises:
        DataError, ConfigError: what is asked for can't be done; nothing was written.
        TrainingFailure: training diverged or collapsed.
    """
    settings = dict(settings or {})
    unknown = sorted(set(settings) - {"config", "budget"})
    if unknown:
        raise ConfigError(
            f"unknown setting '{unknown[0]}'", "settings begin with 'config.' or 'budget.'"
        )
    budget = read_settings(
        Budget, settings.get("budget") or {}, prefix="budget", remedy=ANOTHER_VALUE
    )
    real, used = generator_part(image_set, split=split, label=label)
    generator, _ = new_generator(name, settings.get("config") or {}, real)
    folder = context.folder
    assert folder is not None, "a run needs a folder"
    _refuse_other_run(context)
    if context.validation is None:
        context = dataclasses.replace(
            context, validation=generator_validation_part(image_set, split)
        )
    report = generator.fit(real, budget, context)
    if join_world(context.device).first:
        generator.save(folder)
    return GeneratorRun(folder, report, used)


def load_generator(folder: Path, device: torch.device | None = None) -> Generator[Any]:
    """Load whatever generator is saved in `folder`.

    Raises:
        DataError: there is none, or it is damaged.
        ConfigError: it is of a kind that this version does not know.
    """
    name = read_description(folder)["generator"]
    if name == PerClass.name:
        return PerClass.load(folder, device)
    return GENERATORS.get(name).load(folder, device)


def sample_run(
    folder: Path,
    count: int | None = None,
    *,
    seed: int,
    label: str | None = None,
    sources: ImageSet | None = None,
    masks: ImageSet | None = None,
) -> ImageSet:
    """Return `count` images from the generator saved in `folder`, of class `label` if given.

    Args:
        count: by default `DEFAULT_COUNT`, or as many as there are sources or masks.
        sources: images to be translated, for generators that translate: those of other classes
            than `label`, of the training part alone (a translation shows its source's patient).
        masks: an image is made from each of the first `count` masks, for generators that are
            conditioned on masks; without it they draw new ones.

    Raises:
        DataError: the generator can't draw that; says what it can.
    """
    generator = load_generator(folder)
    if sources is not None and masks is not None:
        raise DataError(
            "no generator takes both sources and masks", "give one of --sources and --masks"
        )
    if sources is not None:
        return _translations(generator, folder, sources, count, seed, label)
    if masks is not None:
        masks = given_part(masks)
    if count is None:
        count = DEFAULT_COUNT if masks is None else len(masks)
    if masks is not None and 0 < count < len(masks):
        masks = masks.take(range(count))
    labels = [label] * max(count, 0) if label is not None else None
    return generator.sample(count, seed=seed, labels=labels, masks=masks)


def _translations(
    generator: Generator[Any],
    folder: Path,
    sources: ImageSet,
    count: int | None,
    seed: int,
    label: str | None,
) -> ImageSet:
    """Return `count` of the sources translated to `label`, or all of them.

    Raises:
        DataError: the generator takes no sources, or fewer are there than images are asked for.
    """
    if not isinstance(generator, Translator):
        raise DataError(
            f"the generator in {folder} takes no sources: it does not translate images",
            "leave --sources out, or use cyclegan, discogan or stargan",
        )
    if label is None:
        label, *others = generator.classes_drawn()
        if others:
            raise DataError(
                f"{generator.name} translates to any of {', '.join([label, *others])}",
                "name one with --label",
            )
    part = generator.translatable(given_part(sources), label)
    count = len(part) if count is None else count
    if count > len(part):
        raise DataError(
            f"{count} images are asked for, and '{sources.card.name}' has {len(part)} in its"
            f" training part that can be translated to '{label}'",
            "ask for fewer, or leave --count out",
        )
    if count < len(part):
        order = SeedTree(seed).child("chosen sources").numpy().permutation(len(part))
        part = part.take(np.sort(order[: max(count, 0)]))
    return generator.sample(count, seed=seed, labels=[label] * max(count, 0), sources=part)


def _refuse_other_run(context: FitContext) -> None:
    folder = context.folder
    if folder is None or context.resume or not folder.exists():
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    kind = "a trained generator" if (folder / CONFIG_NAME).exists() else "files"
    raise ConfigError(
        f"{folder} holds {kind} already", "pass --resume to go on, or choose another --out"
    )
