"""The whole story from Python: each name of `medgain` does what its command does."""

from __future__ import annotations

import importlib.util
import inspect
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

import medgain
from medgain.cli.main import app
from medgain.imageset.imageset import Card, ImageSet
from medgain.phantoms import PHANTOMS
from medgain.study.study import StudyResult
from toys import draw, toy_plan

NAMES = {
    *("import_images", "ImageSet", "Policy", "Study", "open_study", "train_generator"),
    *("load_generator", "train", "predict", "score", "audit", "make_release", "clean", "advise"),
}


def command(*words: object) -> str:
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 0, ended.output + repr(ended.exception)
    return ended.output


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = PHANTOMS.get("chest")().make(80, size_px=32, seed=3)
    return images.save(tmp_path_factory.mktemp("api") / "chest")


@pytest.fixture(scope="module")
def copied(chest: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A generator trained from Python, and a set that it drew."""
    folder = tmp_path_factory.mktemp("generator")
    generator = medgain.train_generator(chest, folder / "run", "gaussian", seed=4)
    drawn = generator.sample(40, seed=5)
    return folder / "run", drawn.save(folder / "drawn")


def test_medgain_shows_its_names_and_nothing_else():
    assert set(dir(medgain)) == NAMES | {"__version__"}
    for name in NAMES:
        assert (inspect.getdoc(getattr(medgain, name)) or "").strip(), name
    with pytest.raises(AttributeError, match="no attribute 'Card'"):
        _ = medgain.Card


def test_no_room_of_the_house_has_the_name_of_a_function():
    """An imported package becomes an attribute of medgain and would stand before the function."""
    for name in NAMES:
        assert importlib.util.find_spec(f"medgain.{name}") is None, name


def test_a_generator_of_python_draws_what_that_of_the_command_draws(chest, copied, tmp_path):
    command(
        "generator", "train", chest, "--model", "gaussian", "--seed", 4, "--out", tmp_path / "r"
    )
    command(
        "generator", "sample", tmp_path / "r", "--count", 40, "--seed", 5, "--out", tmp_path / "s"
    )
    run, drawn = copied
    assert np.array_equal(ImageSet.open(drawn).images, ImageSet.open(tmp_path / "s").images)
    assert np.array_equal(
        medgain.load_generator(run).sample(7, seed=1).images,
        medgain.load_generator(tmp_path / "r").sample(7, seed=1).images,
    )


def test_score_and_audit_of_python_are_those_of_the_commands(chest, copied, tmp_path):
    drawn = copied[1]
    scored = medgain.score(chest, drawn, tmp_path / "score", training=False, real_split="half")
    command("score", chest, drawn, "--out", tmp_path / "s", "--no-training", "--real-split", "half")
    written = [json.loads((tmp_path / at / "score.json").read_text()) for at in ("score", "s")]
    # sentences, for the last digit of a sum may depend on where in memory it is done
    assert written[0]["sentences"] == written[1]["sentences"] == scored.sentences
    assert scored.model_dump(mode="json")["features"] == written[0]["features"]
    assert (tmp_path / "score" / "score.html").exists()
    parts = {"train_split": "train", "holdout_split": "test"}
    audited = medgain.audit(drawn, chest, out=tmp_path / "audit", **parts)
    command(
        *("audit", drawn, "--train", chest, "--out", tmp_path / "a"),
        *("--train-split", "train", "--holdout-split", "test"),
    )
    written = [json.loads((tmp_path / at / "audit.json").read_text()) for at in ("audit", "a")]
    assert written[0] == written[1]
    assert audited.verdict == written[0]["verdict"]
    assert medgain.audit(drawn, chest, **parts).flag_rate == audited.flag_rate  # writes nothing
    release = medgain.make_release(
        drawn,
        tmp_path / "release",
        audit=audited,
        licence="CC-BY-4.0",
        accept_risk="a test",
    )
    assert release.datasheet.contents.images <= 40
    command("release", "verify", tmp_path / "release")


def test_a_model_of_python_predicts_what_that_of_the_command_predicts(chest, tmp_path):
    settings = {"steps": 6, "batch_size": 8, "evaluate_every": 3}
    trained = medgain.train(chest, tmp_path / "model", model="cnn", settings=settings, seed=2)
    command(
        *("train", chest, "--model", "cnn", "--seed", 2, "--out", tmp_path / "m"),
        *(word for key, value in settings.items() for word in ("--set", f"{key}={value}")),
    )
    assert set(trained.scores) >= {"validation", "test"}
    medgain.predict(tmp_path / "model", chest, tmp_path / "p", split="test")
    command("predict", tmp_path / "m", chest, "--split", "test", "--out", tmp_path / "q")
    tables = [(tmp_path / at / "predictions.csv").read_text() for at in ("p", "q")]
    assert tables[0] == tables[1]


def test_a_set_is_cleaned_and_advised_on_from_python(chest, tmp_path):
    cleaned = medgain.clean(chest, tmp_path / "clean", {"duplicates": "drop"})
    command("clean", chest, "--out", tmp_path / "c", "--duplicates", "drop")
    sets = [ImageSet.open(tmp_path / at) for at in ("clean", "c")]
    assert sets[0].fingerprint() == sets[1].fingerprint() == cleaned.images.fingerprint()
    assert (tmp_path / "clean" / "cleaning.html").exists()
    advice = medgain.advise(chest, tmp_path / "plan.yaml", probe=False)
    (tmp_path / "other").mkdir()
    command("advise", chest, "--no-probe", "--out", tmp_path / "other" / "plan.yaml")
    plans = [(tmp_path / at / "plan.yaml").read_text() for at in (".", "other")]
    assert plans[0].partition("name:")[2] == plans[1].partition("name:")[2]
    assert advice.suggestion is not None
    assert medgain.Study.load(tmp_path / "plan.yaml").plan.arms


def test_an_imported_set_of_python_is_that_of_the_command(chest, tmp_path):
    for i, (pixels, label) in enumerate(zip(*_pictures(chest), strict=True)):
        path = tmp_path / "files" / label / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)
    made = medgain.import_images(tmp_path / "files", tmp_path / "a", size_px=24, name="x")
    command("import", tmp_path / "files", tmp_path / "b", "--size", 24, "--name", "x")
    other = ImageSet.open(tmp_path / "b")
    assert made.fingerprint() == other.fingerprint()
    assert made.records.equals(other.records)
    assert made.card.classes == other.card.classes == ["normal", "pneumonia"]


def _pictures(folder: Path) -> tuple[np.ndarray, list[str]]:
    images = ImageSet.open(folder)
    return images.images[:12], [str(label) for label in images.records["label"][:12]]


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyResult]:
    """A plan's file, and the study that was run from it in Python, in a folder beside it."""
    folder = tmp_path_factory.mktemp("studied")
    plan = toy_plan(draw().save(folder / "toy"))
    plan["arms"] = {name: plan["arms"][name] for name in ("real", "classical")}
    plan["arms"]["again"] = {"same_as": "real"}
    plan["generators"] = {}
    file = folder / "plan.yaml"
    file.write_text(yaml.safe_dump(plan))
    return file, medgain.Study.load(file).run(folder / "python", workers=1)


def test_a_study_of_python_is_that_of_the_command(studied):
    file, result = studied
    folder = file.parent
    command("study", "run", file, "--out", folder / "command", "--workers", 1)
    tables = [pd.read_parquet(folder / at / "results.parquet") for at in ("python", "command")]
    measured = [name for name in tables[0] if name.endswith("seconds")]
    pd.testing.assert_frame_equal(*(table.drop(columns=measured) for table in tables))
    written = [
        json.loads((folder / at / "verdict.json").read_text()) for at in ("python", "command")
    ]
    for verdict in written:
        for one in verdict["comparisons"]:
            del one["cost"]
    assert written[0] == written[1]
    assert medgain.open_study(folder / "command").plan == medgain.Study.load(file).plan
    assert (
        medgain.open_study(folder / "python").conclude(folder / "python").verdict == result.verdict
    )


def test_a_set_shows_itself_in_a_notebook_and_no_name_is_markup(chest):
    shown = ImageSet.open(chest)._repr_html_()
    assert "data:image/png;base64," in shown
    assert "pneumonia" in shown
    hostile = "<script>alert('x')</script>\""
    images = ImageSet.from_arrays(
        np.zeros((2, 8, 8, 1), np.uint8),
        labels=[hostile, hostile],
        card=Card(name=hostile, classes=[hostile]),
    )
    assert "<script" not in images._repr_html_()
