"""A generator is one module: made-up ones, registered here, are run by a study to their gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import Field
from typer.testing import CliRunner

from medgain import ImageSet, Study
from medgain.cli.main import app
from medgain.generators.base import (
    GENERATORS,
    Budget,
    FitContext,
    FitReport,
    Generator,
    GeneratorConfig,
)
from medgain.generators.provenance import TrainedOn, synthetic_set
from medgain.generators.saved import read_saved, write_saved
from medgain.generators.training.checkpoint import load_tensors, save_tensors
from medgain.generators.training.costs import immediate
from medgain.runtime.errors import ConfigError
from medgain.runtime.files import read_json
from medgain.runtime.seeds import SeedTree


class SpeckleConfig(GeneratorConfig):
    """Settings of the speckles."""

    strength: float = Field(default=20.0, gt=0, description="standard deviation of the speckles")


class Speckles(Generator[SpeckleConfig]):
    """Every class's mean image with speckles; learns all classes at once."""

    name = "speckles"
    Config = SpeckleConfig
    condition = "label"
    learns = "all classes"
    trains = False

    trained_on: TrainedOn
    fit_seed = 0

    def fit(self, real: ImageSet, budget: Budget, context: FitContext) -> FitReport:
        self.trained_on, self.fit_seed = TrainedOn.describe(real), context.seed
        names = real.records["label"].to_numpy(dtype=object)
        pixels = np.asarray(real.images).astype(np.float32)
        self.means = np.stack([pixels[names == one].mean(0) for one in self.trained_on.labels])
        return immediate(len(real))

    def classes_drawn(self) -> list[str]:
        return self.trained_on.labels

    def sample(
        self,
        count: int,
        *,
        seed: int,
        labels: Sequence[str] | None = None,
        masks: ImageSet | None = None,
        sources: ImageSet | None = None,
    ) -> ImageSet:
        wanted = list(labels or [self.trained_on.labels[0]] * count)
        codes = [self.trained_on.labels.index(label) for label in wanted]
        speckles = SeedTree(seed).numpy().normal(0, self.config.strength, self.means[codes].shape)
        pixels = (self.means[codes] + speckles).clip(0, 255).astype(np.uint8)
        return synthetic_set(
            pixels,
            wanted,
            self.trained_on,
            generator=self.name,
            config=self.config.model_dump(),
            fit_seed=self.fit_seed,
            sample_seed=seed,
        )

    def save(self, folder: Path) -> None:
        tensors = {"means": torch.from_numpy(self.means)}
        save_tensors(folder / "generator.safetensors", tensors, {})
        write_saved(folder, self.name, self.config, self.trained_on, self.fit_seed, [])

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Speckles:
        saved = read_saved(folder, cls.name, cls.Config)
        made = cls(saved.config)
        made.trained_on, made.fit_seed = saved.trained_on, saved.fit_seed
        made.means = load_tensors(folder / "generator.safetensors")[0]["means"].numpy()
        return made


class DimmerConfig(SpeckleConfig):
    """Settings of the dimmer."""

    dimmed: str | None = Field(default=None, description="class that is translated")
    made: str | None = Field(default=None, description="class that it is translated to")


class Dimmer(Speckles):
    """Turns images of one class into another by the difference of their means; keeps no image."""

    name = "dimmer"
    Config = DimmerConfig
    condition = "image"
    learns = "two classes"

    @classmethod
    def named_pair(cls, settings: Mapping[str, Any]) -> tuple[str | None, str | None]:
        return settings.get("dimmed"), settings.get("made")

    @classmethod
    def settings_for_classes(
        cls, settings: Mapping[str, Any], classes: Sequence[str], positive: str | None
    ) -> dict[str, Any]:
        source, target = cls.named_pair(settings)
        target = target or (positive if positive != source else None) or classes[-1]
        return {"dimmed": next(one for one in classes if one != target), "made": target}

    def classes_drawn(self) -> list[str]:
        return [self.config.made]

    def sample(
        self,
        count: int,
        *,
        seed: int,
        labels: Sequence[str] | None = None,
        masks: ImageSet | None = None,
        sources: ImageSet | None = None,
    ) -> ImageSet:
        wanted, known = list(labels or [self.config.made] * count), self.trained_on.labels
        assert sources is not None, "it keeps none of its own"
        own = [str(label) for label in sources.records["label"]]
        assert all(one != other for one, other in zip(own, wanted, strict=True))
        shift = self.means[[known.index(one) for one in wanted]]
        shift = shift - self.means[[known.index(one) for one in own]]
        pixels = (np.asarray(sources.images) + shift).clip(0, 255).astype(np.uint8)
        return synthetic_set(
            pixels,
            wanted,
            self.trained_on,
            generator=self.name,
            config=self.config.model_dump(),
            fit_seed=self.fit_seed,
            sample_seed=seed,
        )


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the two for one test, in the public way."""
    GENERATORS.names()
    monkeypatch.setattr(GENERATORS, "_entries", dict(GENERATORS._entries))
    for kind in (Speckles, Dimmer):
        GENERATORS.register(kind.name, summary=f"made-up {kind.name}", source="nobody 2026")(kind)


def test_a_study_runs_made_up_generators_to_their_gains(registered, plan, tmp_path):
    plan["generators"] = {
        "speckles": {"config": {"strength": 12.0}},
        "ours": {"model": "dimmer", "config": {"made": "ill"}},
    }
    plan["arms"] = {
        "real": {},
        "speckles": {"synthetic": {"generator": "speckles", "ratio": 1.0}},
        "dimmer": {"synthetic": {"generator": "ours", "from": "well", "to": "ill", "count": 9}},
    }
    plan["fractions"] = [1.0]
    folder = tmp_path / "study"
    Study.load(plan).run(folder, workers=1)

    records = [read_json(path) for path in sorted(folder.rglob("stage.json"))]
    models = {record["model"]: record for record in records if "model" in record}
    assert models["speckles"]["status"] == models["dimmer"]["status"] == "ok"
    assert models["speckles"]["config"] == {"strength": 12.0}
    assert models["dimmer"]["config"] == {"strength": 20.0, "dimmed": "well", "made": "ill"}
    assert list(models["speckles"]["classes"]) == ["ill", "well"], "learned at once"
    assert models["dimmer"]["translates"] == {"from": ["well"], "to": "ill"}

    primary = read_json(folder / "verdict.json")["comparisons"]
    gains = {row["arm"]: row["gain"] for row in primary if row["primary"]}
    values = pd.read_parquet(folder / "results.parquet").query(
        "metric == 'auroc' and test_set == 'test'"
    )
    means = values.groupby("arm")["value"].mean()
    assert set(gains) == {"speckles", "dimmer"}
    for arm, gain in gains.items():
        assert gain == pytest.approx(means[arm] - means["real"])
        assert gain != 0, "its images were trained on"


def test_made_up_generators_are_asked_for_what_they_can_do(registered, plan, tmp_path):
    plan["generators"] = {"speckles": {}, "dimmer": {}}
    arm = {"generator": "speckles", "ratio": 1.0}
    for spec, problem in (
        (arm | {"from": "well"}, "'speckles' does not translate images"),
        (arm | {"generator": "dimmer", "from": "welll"}, "names 'welll'"),
        (arm | {"generator": "dimmr"}, "dimmer"),
    ):
        plan["arms"] = {"real": {}, "arm": {"synthetic": spec}}
        with pytest.raises(ConfigError) as caught:
            Study.load(plan).run(tmp_path / "study", workers=1)
        assert problem in f"{caught.value.problem} {caught.value.remedy}"


def test_made_up_generators_are_listed(registered):
    shown = CliRunner().invoke(app, ["list", "generators"]).output
    assert "made-up speckles" in shown and "made-up dimmer" in shown
