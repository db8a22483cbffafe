"""Settings of the classification task."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from medgain.runtime.errors import ConfigError
from medgain.tasks.classification.config import (
    ClassificationConfig,
    EarlyStopping,
    FineTune,
    Schedule,
)

MODELS: list[type[BaseModel]] = [ClassificationConfig, Schedule, EarlyStopping, FineTune]
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "tasks.md"


@pytest.mark.parametrize("model", MODELS)
def test_every_key_is_described_here_and_in_the_documentation(model):
    text = DOCS.read_text(encoding="utf-8")
    for name, field in model.model_fields.items():
        assert field.description, name
        assert f"`{name}`" in text or f".{name}`" in text, f"docs/reference/tasks.md lacks {name}"


def test_the_defaults_stand_in_the_documentation():
    rows = {}  # of segmentation's two tables, one has keys of the same names: the first rows count
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            rows.setdefault(line.split("|")[1].strip(), line)
    for prefix, model in [
        ("", ClassificationConfig),
        ("schedule.", Schedule),
        ("early_stopping.", EarlyStopping),
        ("fine_tune.", FineTune),
    ]:
        for name, field in model.model_fields.items():
            default = field.get_default()
            if isinstance(default, (str, int, float)):
                row = rows[f"`{prefix}{name}`"]
                shown = f"{default:g}" if isinstance(default, float) else str(default)
                assert shown in row.split("|")[2], f"{prefix}{name}: {row}"


def test_a_bare_word_is_a_schedule():
    assert ClassificationConfig(schedule="plateau").schedule.kind == "plateau"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 1},
        {"learning_rate": 0},
        {"learning_rate": float("inf")},
        {"optimiser": "lion"},
        {"class_weights": {"a": -1.0}},
        {"schedule": "linear"},
        {"schedule": {"at": [1.5]}},
        {"fine_tune": {"last_layers": 0}},
        {"fine_tune": {"head_steps": 700}},
        {"pretrain_share": 1.0},
        {"stepz": 3},
        {"early_stopping": {"patience": 3}},
    ],
)
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        ClassificationConfig.model_validate(wrong)


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("cn", "did you mean 'cnn'"),
        ("resnet18", "did you mean 'timm:resnet18' or 'torchvision:resnet18'"),
        ("torchvision:resnet19", "did you mean 'resnet1"),
        ("torchvision:", "unknown model 'torchvision:'"),
        ("torchvison:squeezenet1_0", "did you mean 'torchvision:squeezenet1_0'"),
        ("", "unknown model ''"),
        ("cnn:", "unknown model 'cnn:'"),
    ],
)
def test_an_unknown_model_names_the_nearest(model, hint):
    with pytest.raises(ConfigError, match=hint):
        ClassificationConfig(model=model)
