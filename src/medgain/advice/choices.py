"""What to try first: policy, generator, protocol and fractions, each with its reason.

Where a figure stands behind a choice it is one of docs/explanation/measured.md, or of the
literature that docs/explanation/when-augmentation-helps.md lists; the rest is caution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from medgain.advice.facts import Facts
from medgain.advice.probe.machine import Machine
from medgain.augment import resolve_policy
from medgain.generators.base import GENERATORS

FEWEST_TO_GENERATE = 50  # images of a class; the literature's smallest sets have 100
_MEMORISED = 200  # pictures: it was seen with 65; where it ends is not known
FEW, MANY = 260, 1_000  # images at which gains are looked for first


@dataclass(frozen=True)
class Choice:
    """One thing to try: its name as a plan knows it, its settings, and why."""

    name: str
    why: str
    settings: dict[str, Any] = field(default_factory=dict)


_POLICIES = {
    "chest": (
        "pneumonia-e1",
        "rotation, shift and zoom; no flips, for the heart is on the left. On the chest X-rays"
        " measured here it was worth 3.4 points of AUROC from 1,046 images on, and nothing that"
        " could be shown with 258",
    ),
    "skin": ("skin-d6", "rotation, zoom, shift and mirroring: a lesion has no left and right"),
    "kidney-ct": (
        "kidney-a4",
        "rotation, scale and shift, air outside, no flips, for the liver is on the right. On 81"
        " slices nothing could be shown of it: compare it with none",
    ),
    "lung-ct": (
        "lung-c3",
        "rotation and shift, air outside, no flips. On 267 slices it made no difference to a"
        " U-Net: compare it with none",
    ),
    "ct": ("ct", "small rotation, shift, scale and elastic changes; no flips: sides matter"),
}
_CAREFUL: dict[str, Any] = {"rotation_deg": 10, "shift_x": 0.05, "shift_y": 0.05, "zoom": 0.1}


def choose_policy(facts: Facts) -> Choice:
    """Return the classical augmentation to begin with."""
    if facts.subject in _POLICIES:
        name, why = _POLICIES[facts.subject]
        return Choice(name, why)
    why = (
        "small rotation, shift and zoom, and no flips, since what the images show is not known"
        " (--modality tells); where left and right don't matter, add flip_horizontal: true"
    )
    return Choice("", why, dict(_CAREFUL))


def flips(policy: Choice) -> bool:
    """Tell whether a policy mirrors images."""
    config = resolve_policy(policy.name or policy.settings).config
    return bool(config.flip_horizontal or config.flip_vertical)


def choose_generator(facts: Facts, machine: Machine) -> tuple[Choice | None, str]:
    """Return the generator to try first with its budget in `settings["kimg"]`, or why none."""
    name = _generator_name(facts, machine)
    kind = GENERATORS.get(name)
    sizes = kind.sizes_px
    height, width = facts.size_px
    if height != width or height not in sizes:
        words = ", ".join(str(size) for size in sizes)
        return None, (
            f"none: {name} makes square images of {words} px, and these are {width} × {height};"
            " import them again with --size to try one"
        )
    smallest = facts.smallest
    fewest = smallest.train_images if facts.task == "classification" else facts.pool_images
    if fewest < FEWEST_TO_GENERATE:
        which = f" of {smallest.name}" if facts.task == "classification" and smallest.name else ""
        return None, (
            f"none: {fewest} images{which} are too few to learn images from (fewer than"
            f" {FEWEST_TO_GENERATE}; the smallest sets of the literature have 100)"
        )
    return _settings(name, facts, machine), ""


def _generator_name(facts: Facts, machine: Machine) -> str:
    if facts.task == "segmentation":
        return "pix2pix"
    return "r3gan" if machine.has_gpu else "dcgan"


def _settings(name: str, facts: Facts, machine: Machine) -> Choice:
    gpu = machine.has_gpu
    if name == "pix2pix":
        config: dict[str, Any] = {"width": 64} if gpu else {"batch_size": 4}
        why = "new images for masks that it deforms, in pairs"
        if facts.pool_images < _MEMORISED:
            why += (
                ". With 65 pictures it gave its training images back: such images must not be"
                " shared"
            )
        return Choice(name, why, {"config": config, "kimg": 200.0 if gpu else 6.0})
    if name == "r3gan":
        config = {"preset": "base"}
        why = "the modern GAN for small sets, in the size for a GPU; one per class"
        return Choice(name, why, {"config": config, "kimg": 1000.0})
    why = (
        "the cheapest to train: with a minute or two on a CPU it came nearer to real chest X-rays"
        " than R3GAN; one per class"
    )
    return Choice(name, why, {"config": {"width": 32}, "kimg": 40.0})


def choose_fractions(facts: Facts, folds: int) -> tuple[list[float], list[float]]:
    """Return all fractions of the training groups, and those at which synthetic images are tried.

    Args:
        folds: of a cross-validation; 0 for an official test part.
    """
    pool = facts.pool_images * (1 - 1 / folds) if folds else facts.pool_images
    if facts.task == "segmentation":
        return [1.0], [1.0]
    below = [float(f"{n / pool:.1g}") for n in (FEW, MANY) if n < 0.6 * pool]
    if not below and facts.smallest.train_groups >= 24:
        return [0.5, 1.0], [1.0]
    few = [fraction for fraction in [*below, 1.0] if fraction * pool <= 1.5 * MANY]
    return [*below, 1.0], few or [below[-1]]


def choose_folds(facts: Facts) -> int:
    """Return the number of folds where the set has no test part: 5, or what its groups allow."""
    if facts.task == "segmentation":
        return max(2, min(5, facts.pool_groups // 2))
    return max(2, min(5, facts.smallest.train_groups // 2))
