"""One training run of any task: its image sets, the loop, and what the fit records."""

from __future__ import annotations

from typing import Any

import torch

from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError
from medgain.runtime.seeds import SeedTree
from medgain.tasks.base import TrainingData
from medgain.tasks.training.config import TrainingConfig
from medgain.tasks.training.determinism import seeded_torch
from medgain.tasks.training.loop import ModelTrainer, Progress
from medgain.tasks.training.network import Network
from medgain.tasks.training.objective import Examples, Objective
from medgain.tasks.training.phases import plan_phases

PART_WORDS = {
    "train": "training part",
    "validation": "validation part",
    "pretrain": "pretraining set",
}


def named_sets(data: TrainingData) -> dict[str, ImageSet]:
    """Return "train" and "validation", and "pretrain" where the arm has it.

    Raises:
        DataError: one of them is empty.
    """
    sets = {"train": data.train, "validation": data.validation}
    if data.pretrain is not None:
        sets["pretrain"] = data.pretrain
    for name, images in sets.items():
        if not len(images):
            raise DataError(
                f"the {PART_WORDS[name]} is empty", "use a larger fraction or more images"
            )
    return sets


def run_training(
    model: Network,
    config: TrainingConfig,
    objective: Objective,
    parts: dict[str, Examples],
    data: TrainingData,
    *,
    seeds: SeedTree,
    dtype: torch.dtype,
) -> Progress:
    """Train `model` through all its phases; dropout draws from the seeds' child "dropout"."""
    trainer = ModelTrainer(
        model, config, objective, parts, policy=data.policy, seeds=seeds, dtype=dtype
    )
    with seeded_torch(seeds.child("dropout"), model.device):
        return trainer.run(plan_phases(config, pretrains=data.pretrain is not None))


def describe_fit(model: Network, name: str, done: Progress, dtype: torch.dtype) -> dict[str, Any]:
    """Return what a fit records beside its curves.

    Args:
        name: what `task.model` calls the network.
    """
    return {
        "model": name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "best_step": done.best_step,
        "stopped_early": done.stopped_early,
        "phases": done.phases,
        "normalisation": {
            "mean": model.mean.flatten().tolist(),
            "std": model.std.flatten().tolist(),
        },
        "device": str(model.device),
        "precision": "bf16" if dtype == torch.bfloat16 else "fp32",
        "threads": torch.get_num_threads(),
    }


def check_pixels(images: ImageSet, channels: int, size_px: tuple[int, int], what: str) -> None:
    """Raise `DataError` unless `images` have the channels and the size of the training part.

    Args:
        what: how messages call the images.
    """
    if images.channels != channels:
        words = {1: "grey", 3: "colour"}
        raise DataError(
            f"{what} is {words[images.channels]}, the training part {words[channels]}",
            "import both alike",
        )
    if images.size_px != size_px:
        (height, width), (own_height, own_width) = images.size_px, size_px
        raise DataError(
            f"{what} has images of {width}×{height} px, the training part {own_width}×{own_height}",
            f"import both with the same --size (here {own_width})",
        )
