"""Segmentation on real CT slices: the smoke presets, and what a fold's generator is given."""

from pathlib import Path

import numpy as np
import pytest

from medgain import ImageSet, Study, import_images
from medgain.runtime.files import read_json
from medgain.study import load_plan
from medgain.study.cells import Cell, list_folds, split_fold
from medgain.study.dataset import prepare
from medgain.study.folder import StudyFolder
from medgain.study.stages.generator import generator_stages, training_images

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def kidneys(medgain_data, tmp_path_factory):
    """The kidney slices at 128 px with their cases, imported as the recipe says."""
    out = tmp_path_factory.mktemp("sets") / "kidney"
    import_images(
        medgain_data / "kidneyct",
        out,
        images="images",
        masks="masks",
        table="index.csv",
        group_column="case",
        size_px=128,
        mask_classes=["kidney", "tumour"],
    )
    return out


def test_the_lungs_recipe_runs_on_the_real_slices(medgain_data, tmp_path):
    import_images(medgain_data / "lungct", tmp_path / "lungs", images="images", masks="masks")
    images = ImageSet.open(tmp_path / "lungs")
    assert (len(images), images.size_px, images.images.dtype) == (267, (64, 64), np.uint16)
    study = Study.load(
        RECIPES / "lungs-fcn-unet.yaml",
        preset="smoke",
        overrides={"dataset": str(tmp_path / "lungs"), "task": {"steps": 60}},
    )
    result = study.run(tmp_path / "out", workers=2)
    assert result.verdict.failed_cells == 0
    scores = result.results.frame.query("metric == 'dice'").groupby("arm")["value"].mean()
    assert scores["unet"] > 0.8, "60 steps of a tiny U-Net find most of the lungs"
    assert scores["unet"] > scores["fcn"]
    tested = result.results.predictions.groupby("arm")["image_id"].nunique()
    assert (tested == 267).all()


def test_the_kidney_recipe_runs_on_the_real_slices(kidneys, tmp_path):
    study = Study.load(
        RECIPES / "kidney-pix2pix.yaml", preset="smoke", overrides={"dataset": str(kidneys)}
    )
    result = study.run(tmp_path / "out", workers=2)
    assert result.verdict.failed_cells == 0, result.results.frame["cause"].unique()
    assert result.verdict.mask_classes == ["kidney", "tumour"]
    metrics = {one.metric for one in result.verdict.comparisons}
    assert {"dice", "dice[kidney]", "dice[tumour]"} <= metrics
    counts = result.results.frame.set_index("arm")
    pairs = counts.loc["pix2pix"]
    assert (pairs["synthetic_images"] == pairs["train_images"]).all()
    assert [case["role"] for case in read_json(tmp_path / "out" / "panels.json")["cases"]] == [
        "best", "median", "worst",
    ]  # fmt: skip


def test_pix2pix_is_given_cases_of_the_training_part_alone(kidneys, tmp_path):
    plan = load_plan(
        RECIPES / "kidney-pix2pix.yaml", preset="cpu", overrides={"dataset": str(kidneys)}
    )
    prepared = prepare(plan, StudyFolder(tmp_path))
    groups = prepared.images.groups
    assert prepared.images.card.groups_known
    tested: list[str] = []
    for where in list_folds(plan, 1.0):
        split = split_fold(plan, prepared.images, where)
        (stage,) = generator_stages(plan, prepared, Cell("classical+pix2pix", where))
        given = training_images(plan, prepared, stage)
        assert set(given.groups) == set(groups[split.train])
        assert not set(given.groups) & set(groups[np.r_[split.validation, split.test]])
        tested += sorted(set(groups[split.test]))
    assert len(tested) == len(set(tested)) == 37
