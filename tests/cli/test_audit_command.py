"""`medgain audit`: from sets to a verdict, a folder and a page."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import typer
from scipy import integrate, stats
from typer.testing import CliRunner

from medgain.assess.audit.result import read_audit
from medgain.cli import audit as command
from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, MedgainError


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    made = typer.Typer()
    command.register(made)
    made.command("other")(lambda: None)  # a single command would lose its name
    return made


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real set with both splits, a synthetic one of strangers, and one of copies."""
    folder = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    fields = [cv2.GaussianBlur(rng.normal(0, 1, (32, 32)), (0, 0), 1.3) for _ in range(150)]
    images = np.stack([np.clip(110 + 35 * f / f.std(), 0, 255) for f in fields])
    images = images.astype(np.uint8)[..., None]
    real = ImageSet.from_arrays(
        images[:130],
        labels=["ill"] * 130,
        splits=["train"] * 30 + ["test"] * 100,
        card=Card(name="real", classes=["ill"], groups_known=True, group_rule="made up"),
    )
    real.save(folder / "real")
    card = Card(name="made", classes=["ill"], origin="synthetic")
    for name, made in (("strangers", images[130:]), ("copies", images[:20])):
        ImageSet.from_arrays(made, labels=["ill"] * 20, card=card).save(folder / name)
    return folder


def call(app: typer.Typer, *arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


SPLITS = ("--train-split", "train", "--holdout-split", "test")


def test_strangers_pass_and_copies_fail(app: typer.Typer, sets: Path, tmp_path: Path) -> None:
    for name, word in (("strangers", "PASS"), ("copies", "FAIL")):
        out = tmp_path / name
        said = call(app, "audit", sets / name, "--train", sets / "real", *SPLITS, "--out", out)
        assert f"{word}: " in said and "do not publish" in said
        assert json.loads((out / "audit.json").read_text())["verdict"] == word.lower()
        assert {path.name for path in out.iterdir()} == {
            "audit.json",
            "audit.html",
            "distances.parquet",
            "pairs.npz",
            "DO-NOT-PUBLISH.txt",
        }


def test_json_features_and_overwrite(app: typer.Typer, sets: Path, tmp_path: Path) -> None:
    arguments = ("audit", sets / "strangers", "--train", sets / "real", *SPLITS)
    arguments += ("--label", "ill", "--out", tmp_path / "a")
    call(app, *arguments)
    with pytest.raises(MedgainError, match="holds an audit already"):
        call(app, *arguments)
    said = call(app, *arguments, "--overwrite", "--json", "--features", "radiomics")
    assert json.loads(said[said.index("{\n") :])["features"] == "radiomics"


def test_what_is_wrong_is_said_before_long_work(
    app: typer.Typer, sets: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no hold-out"):
        call(app, "audit", sets / "copies", "--train", sets / "real", "--out", tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("mine")
    with pytest.raises(MedgainError, match="is no audit"):
        call(
            app,
            "audit",
            sets / "copies",
            "--train",
            sets / "real",
            *SPLITS,
            "--out",
            tmp_path / "b",
        )
    assert not (tmp_path / "a").exists()


def clustered_sets(folder: Path, *, one_patient: bool) -> None:
    """Held-out images of which three lie near training images: of one patient, or of three."""
    rng = np.random.default_rng(3)
    fields = [cv2.GaussianBlur(rng.normal(0, 1, (32, 32)), (0, 0), 1.3) for _ in range(410)]
    textures = np.stack([field / field.std() for field in fields])
    train, holdout, made = textures[:30], textures[30:330].copy(), textures[330:].copy()
    for place in range(3):
        holdout[place] = 0.75 * train[place] + 0.66 * holdout[place]
    for place in range(4):
        made[place] = 0.75 * train[10 + place] + 0.66 * made[place]
    patients = [f"held-out-{place // 3 if one_patient else place}" for place in range(300)]
    images = np.clip(110 + 35 * np.concatenate([train, holdout, made]), 0, 255)
    images = images.astype(np.uint8)[..., None]
    card = Card(name="real", classes=["ill"], groups_known=True, group_rule="made up")
    ImageSet.from_arrays(
        images[:330],
        labels=["ill"] * 330,
        groups=[f"train-{place}" for place in range(30)] + patients,
        splits=["train"] * 30 + ["test"] * 300,
        card=card,
    ).save(folder / "real")
    card = Card(name="made", classes=["ill"], origin="synthetic")
    ImageSet.from_arrays(images[330:], labels=["ill"] * 80, card=card).save(folder / "made")


def chance_of_as_many(
    flagged: int, images: int, expected: int, near: np.ndarray, holdout: int
) -> float:
    """The p-value by hand: the held-out images' share is uncertain, and so is the count it gives.

    Args:
        expected: held-out images that would be flagged, each judged by the others.
        near: groups of those below the limits; images of one count as one.
    """
    _, sizes = np.unique(near, return_counts=True)
    together = (sizes**2).sum() / sizes.sum()
    successes, size = max(expected / together, 1), holdout / together
    share = stats.beta(successes, size + 1 - successes)
    found, _ = integrate.quad(
        lambda p: share.pdf(p) * stats.binom.sf(flagged - 1, images, p), 0, 1, limit=400
    )
    return float(found)


def test_flagged_images_of_one_patient_count_as_one(app: typer.Typer, tmp_path: Path) -> None:
    p_values = {}
    for one_patient in (True, False):
        folder = tmp_path / f"{one_patient}"
        clustered_sets(folder, one_patient=one_patient)
        call(
            app, "audit", folder / "made", "--train", folder / "real", *SPLITS,
            "--out", folder / "audit",
        )  # fmt: skip
        found = read_audit(folder / "audit")
        table = pd.read_parquet(folder / "audit" / "distances.parquet")
        near = table["flagged"] & (table["set"] == "holdout")
        groups = ImageSet.open(folder / "real").records.set_index("image_id")["group"]
        patients = groups.loc[table.loc[near, "image_id"]].to_numpy(str)
        assert len(patients) >= 2 and len(set(patients)) == (1 if one_patient else len(patients))
        expected = found.thresholds.holdout_flagged
        assert expected >= 2 and len(found.flagged) >= 4
        by_hand = chance_of_as_many(len(found.flagged), 80, expected, patients, 300)
        assert found.flag_p_value == pytest.approx(by_hand, rel=1e-6)
        p_values[one_patient] = found.flag_p_value
    assert p_values[True] > 1.5 * p_values[False], p_values
