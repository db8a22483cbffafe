"""The recipes of the five studies run on the real images: their smoke presets, arms and splits.

Kidneys, lungs and the DCGAN have tests of their own beside this one.
"""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from medgain import ImageSet, Study, import_images
from medgain.runtime.files import read_json
from medgain.study import load_plan
from medgain.study.cells import list_cells, list_folds, split_fold
from medgain.study.dataset import prepare
from medgain.study.folder import StudyFolder

RECIPES = Path(__file__).parents[2] / "recipes"
FIVE = (
    "kidney-pix2pix",
    "pneumonia-gan-families",
    "lungs-fcn-unet",
    "melanoma-biggan",
    "pneumonia-transfer",
)


@pytest.fixture(scope="module")
def xrays(medgain_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "cxr"
    import_images(medgain_data / "chestxray", out, size_px=64)
    return out


@pytest.fixture(scope="module")
def skin(medgain_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "skin"
    import_images(
        medgain_data / "skin",
        out,
        size_px=64,
        fit="crop",
        table="metadata.csv",
        label_column="dx",
        group_column="lesion_id",
        positive="mel",
    )
    return out


def run(recipe, dataset, out):
    overrides = {"dataset": str(dataset)}
    study = Study.load(RECIPES / f"{recipe}.yaml", preset="smoke", overrides=overrides)
    result = study.run(out, workers=1)
    assert result.verdict.failed_cells == 0, result.results.frame["cause"].unique()
    compared = {one.arm for one in result.verdict.comparisons if one.primary}
    assert compared == set(study.plan.arms) - {study.plan.reference}
    return result, result.results.frame.drop_duplicates("cell").set_index("arm")


@pytest.mark.parametrize("recipe", FIVE)
def test_each_study_has_its_presets_and_an_aa_control(recipe):
    path = RECIPES / f"{recipe}.yaml"
    assert {"smoke", "cpu", "gpu"} <= set(yaml.safe_load(path.read_text())["presets"])
    head = path.read_text().partition("name:")[0]
    for words in ("medgain import PATH/", f"medgain study run recipes/{recipe}.yaml", "cpu ("):
        assert words in head
    sizes = {}
    for preset in ("smoke", "cpu", "gpu"):
        plan = load_plan(path, preset=preset)
        assert plan.arms["aa"].same_as == plan.reference
        sizes[preset] = plan.make_task().config.steps * len(list_cells(plan))
    assert sizes["smoke"] < sizes["cpu"] < sizes["gpu"]


def test_every_family_adds_as_many_images_as_the_copies_it_must_beat(xrays, tmp_path):
    _, cells = run("pneumonia-gan-families", xrays, tmp_path / "out")
    families = ["gan", "dcgan", "progan", "r3gan", "cyclegan", "stargan"]
    added = cells.loc[families, "synthetic_images"]
    assert (added == cells.loc[families, "train_images"]).all() and added.min() > 150
    assert (cells.loc["oversample", "oversampled_images"] > 150).all()
    assert cells["steps"].nunique() == 1


def test_synthetic_melanomas_are_melanomas_alone_and_the_test_part_is_balanced(skin, tmp_path):
    result, cells = run("melanoma-biggan", skin, tmp_path / "out")
    part = read_json(tmp_path / "out" / "dataset.json")
    assert part["test_part"]["per_class"] == 100
    for arm in ("dcgan", "biggan", "cyclegan"):
        melanomas = [p["train_per_class"]["mel"] for p in part["parts"]]
        assert sorted(cells.loc[arm, "synthetic_images"]) == sorted(melanomas)
    predictions = result.results.predictions
    tested = predictions[predictions["cell"] == predictions["cell"].iloc[0]]
    assert Counter(tested["label"]) == {"mel": 100, "nv": 100}
    assert not tested["image_id"].duplicated().any()
    metrics = {one.metric for one in result.verdict.comparisons}
    assert {"auroc", "sensitivity", "specificity"} <= metrics


def test_the_full_skin_set_gives_five_hundred_of_each_and_one_to_fourteen(skin, tmp_path):
    plan = load_plan(
        RECIPES / "melanoma-biggan.yaml", preset="cpu-rare", overrides={"dataset": str(skin)}
    )
    prepared = prepare(plan, StudyFolder(tmp_path))
    labels = prepared.images.records["label"].to_numpy()
    lesions = ImageSet.open(skin).groups
    tests = set()
    for where in list_folds(plan, 1.0):
        split = split_fold(plan, prepared.images, where)
        tests.add(tuple(split.test))
        assert Counter(labels[split.test]) == {"mel": 500, "nv": 500}
        assert not set(lesions[split.test]) & set(lesions[[*split.train, *split.validation]])
        real = Counter(labels[split.train])
        assert real["nv"] == 800
        assert real["nv"] / real["mel"] == pytest.approx(14, abs=1.5)
    assert len(tests) == 1


def test_transfer_records_two_phases_and_what_each_network_saw(xrays, tmp_path):
    _, cells = run("pneumonia-transfer", xrays, tmp_path / "out")
    for path in (tmp_path / "out" / "cells").glob("*/cell.json"):
        cell = read_json(path)
        names = [phase["name"] for phase in cell["details"]["phases"]]
        assert names == ["head", "last 5 layers"]
        assert cell["details"]["input_px"] == ([32, 32] if cell["arm"] == "rescaled" else [40, 40])
    assert (cells.loc["e1+balanced", "oversampled_images"] > 80).all()
    assert (cells.loc[["real", "e1", "rescaled"], "oversampled_images"] == 0).all()


def test_whole_network_learns_after_its_head_in_every_arm(xrays, tmp_path):
    _, cells = run("pneumonia-whole-network", xrays, tmp_path / "out")
    for path in (tmp_path / "out" / "cells").glob("*/cell.json"):
        names = [phase["name"] for phase in read_json(path)["details"]["phases"]]
        assert names == ["head", "all"]
    assert set(cells["steps"]) == {4}
    assert (cells["oversampled_images"] == 0).all()


def test_transfer_from_the_squeezenet_weights_at_hand(xrays, medgain_data, tmp_path):
    weights = medgain_data / "weights" / "squeezenet1_0_imagenet_deepcompression.pth"
    plan = yaml.safe_load((RECIPES / "pneumonia-transfer.yaml").read_text())
    plan["arms"] = {"real": {}}
    plan["presets"]["smoke"].pop("arms")
    overrides = {
        "dataset": str(xrays),
        "protocol": {"seeds": 1},
        "task": {"weights": str(weights), "input_px": None, "steps": 40, "evaluate_every": 20}
        | {"fine_tune": {"head_steps": 20}, "batch_size": 16},
    }
    result = Study.load(plan, preset="smoke", overrides=overrides).run(tmp_path / "out", workers=1)
    scores = result.results.frame.set_index("metric")["value"]
    assert scores["auroc"] > 0.8, "40 steps on ImageNet features tell most pneumonias"
