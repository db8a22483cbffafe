"""The control without learning: a Gaussian with the training images' mean and main components.

Departures from the paper: No noise term, so that samples lie in the span of the components, and
values are clipped to the range of the pixels. Not measured: it is a control.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from pydantic import Field

from medgain.generators.base import (
    CHECKPOINT_NAME,
    GENERATORS,
    Budget,
    FitContext,
    FitReport,
    Generator,
    GeneratorConfig,
)
from medgain.generators.provenance import (
    TrainedOn,
    check_sample_request,
    check_training_size,
    synthetic_set,
)
from medgain.generators.saved import read_saved, write_saved
from medgain.generators.training.checkpoint import load_tensors, save_tensors
from medgain.generators.training.costs import immediate
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.seeds import SeedTree

SAMPLE_CHUNK = 64


class GaussianConfig(GeneratorConfig):
    """Settings of the Gaussian control."""

    components: int = Field(
        default=64, ge=1, description="principal components kept; at most images - 1"
    )


@GENERATORS.register(
    "gaussian",
    summary="Control: a Gaussian with the mean and principal components of the training images",
    source="probabilistic PCA without the noise term: Tipping and Bishop 1999, J. R. Stat. Soc. B",
)
class GaussianGenerator(Generator[GaussianConfig]):
    """Images are mean + Σ sd_k · z_k · component_k with z standard normal, clipped to the range."""

    name = "gaussian"
    Config: ClassVar[type[GeneratorConfig]] = GaussianConfig
    trains: ClassVar[bool] = False

    def __init__(self, config: GaussianConfig | None = None) -> None:
        super().__init__(config)
        self.trained_on: TrainedOn | None = None
        self.fit_seed = 0
        self._mean = torch.empty(0)  # (H·W·C,), stored units
        self._scaled = torch.empty(0)  # (components, H·W·C): component times its sd

    def fit(self, real: ImageSet, budget: Budget, context: FitContext) -> FitReport:
        """Compute mean and components in closed form; the budget does not matter."""
        check_training_size(real, "gaussian", 2)
        started = time.monotonic()
        flat = np.asarray(real.images).reshape(len(real), -1).astype(np.float64)
        mean = flat.mean(axis=0)
        sds, components = principal_components(flat - mean, self.config.components)
        self._mean = torch.from_numpy(mean.astype(np.float32))
        self._scaled = torch.from_numpy((sds[:, None] * components).astype(np.float32))
        self.trained_on, self.fit_seed = TrainedOn.describe(real), context.seed
        return immediate(len(real), time.monotonic() - started)

    def sample(
        self,
        count: int,
        *,
        seed: int,
        labels: Sequence[str] | None = None,
        masks: ImageSet | None = None,
        sources: ImageSet | None = None,
    ) -> ImageSet:
        """Return `count` images drawn from the Gaussian; see `Generator.sample`."""
        trained_on, label = self._fitted(), self._fitted().label
        check_sample_request(
            "gaussian", count, labels, [label], {"masks": masks, "sources": sources}
        )
        chunks = []
        for number in range(-(-count // SAMPLE_CHUNK)):  # whole chunks, so that a prefix holds
            random = SeedTree(seed).child("sample", number).torch()
            z = torch.randn(SAMPLE_CHUNK, len(self._scaled), generator=random)
            chunks.append((self._mean + z @ self._scaled).numpy())
        dtype = np.dtype(trained_on.dtype)
        flat = np.concatenate(chunks)[:count].clip(0, np.iinfo(dtype).max)
        shape = (count, *trained_on.size_px, trained_on.channels)
        return synthetic_set(
            np.floor(flat + 0.5).astype(dtype).reshape(shape),
            [label] * count,
            trained_on,
            generator="gaussian",
            config=self.config.model_dump(mode="json"),
            fit_seed=self.fit_seed,
            sample_seed=seed,
        )

    def classes_drawn(self) -> list[str]:
        """Return the one class, or "" where the training part had none or several."""
        return [self._fitted().label]

    def _fitted(self) -> TrainedOn:
        if self.trained_on is None:
            raise MedgainError("this gaussian is not fitted yet", "call fit or load first")
        return self.trained_on

    def save(self, folder: Path) -> None:
        """Write mean and components to `folder`."""
        trained_on = self._fitted()
        tensors = {"mean": self._mean, "scaled_components": self._scaled}
        save_tensors(folder / CHECKPOINT_NAME, tensors, {})
        write_saved(folder, "gaussian", self.config, trained_on, self.fit_seed, [])

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> GaussianGenerator:
        """Load what `save` wrote; samples equal those of the saved generator."""
        saved = read_saved(folder, "gaussian", cls.Config)
        generator = cls(cast(GaussianConfig, saved.config))
        generator.trained_on, generator.fit_seed = saved.trained_on, saved.fit_seed
        tensors, _ = load_tensors(folder / CHECKPOINT_NAME)
        try:
            generator._mean, generator._scaled = tensors["mean"], tensors["scaled_components"]
        except KeyError as error:
            raise DataError(
                f"{folder / CHECKPOINT_NAME} lacks {error}", "fit the generator again"
            ) from None
        return generator


def principal_components(centred: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Return standard deviations (K,) and unit components (K, D) of centred data (N, D).

    K is at most `wanted`, N - 1 and D. Works on the smaller of the two Gram matrices; each
    component's largest entry is positive, so that equal data give equal components.
    """
    count, dimensions = centred.shape
    small = count <= dimensions
    gram = centred @ centred.T if small else centred.T @ centred
    values, vectors = np.linalg.eigh(gram)
    keep = np.argsort(values)[::-1][: min(wanted, count - 1, dimensions)]
    values, vectors = values[keep].clip(min=0.0), vectors[:, keep]
    sds = np.sqrt(values / (count - 1))
    components = (centred.T @ vectors if small else vectors).T
    lengths = np.linalg.norm(components, axis=1, keepdims=True)
    components = components / np.where(lengths > 0, lengths, 1.0)
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    return sds, components * np.where(signs == 0, 1.0, signs)[:, None]
