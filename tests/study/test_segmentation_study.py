"""Studies of masks: models as arms, pairs from generators, what is kept, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from medgain.imageset.imageset import Card, ImageSet
from medgain.metrics import segmentation_table, summarise_segmentation
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.files import read_json
from medgain.study import Study
from medgain.study.arms import assemble
from medgain.study.cells import Cell, list_folds, split_fold
from medgain.study.dataset import prepare
from medgain.study.folder import StudyFolder
from medgain.study.stages.generator import generator_stages, training_images
from medgain.tasks.segmentation.task import SegmentationTask
from toys import draw


def draw_pairs(groups: int = 20, size: int = 16, name: str = "pairs", seed: int = 0) -> ImageSet:
    """Noise with a bright square (1) in all and a brighter one (2) in some; two images a group."""
    rng = np.random.default_rng(seed)
    count = 2 * groups
    images = rng.integers(0, 60, (count, size, size, 1), dtype=np.uint8)
    masks = np.zeros((count, size, size), np.uint8)
    for number in range(count):
        for code in (1, 2) if number % 3 else (1,):
            top, left = rng.integers(0, size - 6, 2)
            images[number, top : top + 6, left : left + 6] = 90 * code
            masks[number, top : top + 6, left : left + 6] = code
    member = np.arange(count) // 2
    return ImageSet.from_arrays(
        images,
        masks=masks,
        groups=[f"{name}-patient{number}" for number in member],
        splits=["test" if number >= 0.7 * groups else "train" for number in member],
        image_ids=[f"{name}-{i:03d}" for i in range(count)],
        card=Card(name=name, mask_classes=["kidney", "tumour"], groups_known=True),
    )


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return draw_pairs().save(tmp_path_factory.mktemp("sets") / "pairs")


def plan_of(dataset, **changes):
    plan = {
        "name": "pairs",
        "dataset": str(dataset),
        "task": {
            "kind": "segmentation",
            "width": 4,
            "steps": 6,
            "batch_size": 4,
            "evaluate_every": 3,
        },
        "protocol": {"kind": "cross-validation", "folds": 2},
        "reference": "unet",
        "bootstrap": 100,
        "assess": False,
        "generators": {"resampler": {"model": "copy"}},
        "arms": {
            "unet": {},
            "fcn": {"task": {"model": "fcn"}},
            "moved": {"policy": {"rotation_deg": 20, "fill_mode": "constant"}},
            "oversample": {"oversample": 0.5},
            "pairs": {"synthetic": {"generator": "resampler", "ratio": 0.5}},
            "first": {"synthetic": {"generator": "resampler", "use": "pretrain"}},
        },
        "runtime": {"device": "cpu", "precision": "fp32"},
    }
    return {**plan, **changes}


@pytest.fixture(scope="module")
def finished(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "pairs"
    return Study.load(plan_of(pairs)).run(out, workers=1)


def test_every_arm_is_scored_by_the_task_s_own_metrics_and_by_class(finished):
    frame, verdict = finished.results.frame, finished.verdict
    assert (frame["status"] == "ok").all(), frame["cause"].unique()
    assert verdict.metric == "dice"
    assert verdict.mask_classes == ["kidney", "tumour"]
    compared = {(row.arm, row.metric) for row in verdict.comparisons}
    metrics = ["dice", "dice[kidney]", "dice[tumour]", "boundary_f", "iou", "hd95"]
    assert compared == {
        (arm, metric)
        for arm in ("fcn", "moved", "oversample", "pairs", "first")
        for metric in [*metrics, "pixel_accuracy"]
    }
    further = [row for row in verdict.comparisons if row.metric == "hd95"]
    for row in further:  # fewer pixels are better
        assert row.gain == pytest.approx(row.reference_mean - row.mean)


def test_models_differ_between_arms_on_equal_terms(finished):
    cells = {
        path.name.split("__")[0]: read_json(path / "cell.json")
        for path in (finished.folder / "cells").glob("*__fold0__*")
    }
    assert cells["fcn"]["details"]["model"] == "fcn"
    assert {name for name, cell in cells.items() if cell["details"]["model"] == "unet"} == {
        "unet", "moved", "oversample", "pairs", "first",
    }  # fmt: skip
    assert {cell["steps"] for cell in cells.values()} == {6}
    assert cells["pairs"]["synthetic_images"] == round(0.5 * cells["pairs"]["train_images"])
    assert cells["first"]["details"]["phases"][0]["data"] == "pretrain"


def test_kept_masks_give_back_every_score(finished, pairs):
    images = ImageSet.open(pairs)
    rows = finished.results.predictions
    results = finished.results.frame
    for cell in ("unet__1__fold0__repeat0", "fcn__1__fold1__repeat0"):
        own = rows[rows["cell"] == cell]
        with np.load(finished.folder / "cells" / cell / "test" / "masks.npz") as kept:
            predicted = kept["masks"]
        positions = pd.Index(images.records["image_id"]).get_indexer(own["image_id"])
        table = segmentation_table(images.masks[positions], predicted, ["kidney", "tumour"])
        np.testing.assert_array_equal(table["dice[kidney]"], own["dice[kidney]"])
        expected = summarise_segmentation(table, own["group"].to_numpy())
        found = results[results["cell"] == cell].set_index("metric")["value"]
        for name in ("dice", "dice[tumour]", "hd95", "pixel_accuracy"):
            assert found[name] == pytest.approx(expected[name], nan_ok=True)


def test_panels_show_each_arm_on_the_same_cases(finished, pairs):
    images = ImageSet.open(pairs)
    described = read_json(finished.folder / "panels.json")
    assert [case["role"] for case in described["cases"]] == ["best", "median", "worst"]
    rows = finished.results.predictions
    with np.load(finished.folder / "panels.npz") as arrays:
        for case in described["cases"]:
            position = list(images.records["image_id"]).index(case["image_id"])
            key = case["key"]
            np.testing.assert_array_equal(arrays[f"{key}_image"], images.images[position])
            np.testing.assert_array_equal(arrays[f"{key}_truth"], images.masks[position])
            for number, arm in enumerate(described["arms"]):
                table = segmentation_table(
                    images.masks[position][None],
                    arrays[f"{key}_{number}"][None],
                    ["kidney", "tumour"],
                )
                shown = case["arms"][arm]["dice"]["kidney"]
                assert table["dice[kidney]"][0] == pytest.approx(shown)
    means = rows.groupby("image_id")[["dice[kidney]", "dice[tumour]"]].mean().mean(axis=1)
    best, _, worst = described["cases"]
    assert worst["dice"] <= best["dice"]
    assert worst["dice"] == pytest.approx(means.min(), abs=0.2)


def test_policies_are_shown_with_their_masks(finished):
    with np.load(finished.folder / "policies.npz") as arrays:
        before, after = arrays["0_before_masks"], arrays["0_after_masks"]
    assert before.shape == after.shape
    assert set(np.unique(after)) <= {0, 1, 2}
    assert (before != after).any()


def test_an_official_test_set_is_bootstrapped_by_group(pairs, tmp_path):
    changes = {
        "protocol": {"kind": "official", "seeds": 2},
        "arms": {"unet": {}, "fcn": {"task": {"model": "fcn"}}},
    }
    plan = plan_of(pairs, **changes)
    plan["task"] |= {"steps": 60, "evaluate_every": 20, "width": 8}
    study = Study.load(plan).run(tmp_path / "out", workers=1)
    row = study.verdict.comparisons[0]
    assert row.ci_low < row.gain < row.ci_high


def test_resumed_studies_of_masks_give_the_same_numbers(finished, pairs, tmp_path):
    arms = {"unet": {}, "pairs": {"synthetic": {"generator": "resampler", "ratio": 0.5}}}
    again = Study.load(plan_of(pairs, arms=arms)).run(tmp_path / "out", workers=1)
    columns = ["cell", "metric", "value"]
    one = finished.results.frame[finished.results.frame["arm"].isin(arms)][columns]
    two = again.results.frame[columns]
    merged = one.merge(two, on=["cell", "metric"], validate="1:1")
    np.testing.assert_array_equal(merged["value_x"], merged["value_y"])
    assert len(merged) == len(two)


def test_pairs_come_from_the_training_part_alone(pairs, tmp_path):
    study = Study.load(plan_of(pairs))
    prepared = prepare(study.plan, StudyFolder(tmp_path))
    groups = prepared.images.groups
    for where in list_folds(study.plan, 1.0):
        split = split_fold(study.plan, prepared.images, where)
        (stage,) = generator_stages(study.plan, prepared, Cell("pairs", where))
        given = training_images(study.plan, prepared, stage)
        assert stage.label == ""
        assert set(given.groups) == set(groups[split.train])
        assert not set(given.groups) & set(groups[np.r_[split.test, split.validation]])
        assert given.masks is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {"unet": {}, "x": {"task": {"steps": 9}}}}, "can't have its own 'steps'"),
        ({"arms": {"unet": {}, "x": {"task": {"model": "unett"}}}}, "unknown segmenter 'unett'"),
        ({"metric": "auroc"}, "unknown name 'auroc'"),
        ({"metric": "pixel_accuracy[kidney]"}, "not measured by class"),
    ],
)
def test_plans_that_make_no_sense_are_refused(pairs, changes, message):
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")):
        Study.load(plan_of(pairs, **changes))


def test_a_class_that_the_masks_have_not_is_refused(pairs, tmp_path):
    study = Study.load(plan_of(pairs, metric="dice[tumor]"))
    with pytest.raises(ConfigError, match="names an unknown class"):
        study.run(tmp_path / "out")


def test_a_generator_without_masks_cannot_serve_a_segmenter(pairs, tmp_path):
    arms = {"unet": {}, "x": {"synthetic": {"generator": "dcgan"}}}
    study = Study.load(plan_of(pairs, arms=arms, generators={"dcgan": {}}))
    with pytest.raises(ConfigError, match=r"without masks.*learns from masks"):
        study.run(tmp_path / "out")


def test_a_set_without_masks_is_refused(tmp_path):
    draw(groups=12).save(tmp_path / "plain")
    with pytest.raises(DataError, match="no masks"):
        Study.load(plan_of(tmp_path / "plain")).run(tmp_path / "out")


def test_a_classifier_may_use_images_without_masks_beside_images_with_masks(toy, tmp_path):
    labelled = ImageSet.open(toy)
    masks = (np.asarray(labelled.images)[..., 0] > 200).astype(np.uint8)
    card = labelled.card.model_copy(update={"mask_classes": ["bright"]})
    ImageSet(labelled.images, labelled.records, card, masks).save(tmp_path / "both")
    plan = {
        "name": "both",
        "dataset": str(tmp_path / "both"),
        "task": {"steps": 4, "batch_size": 8},
        "protocol": {"seeds": 1},
        "assess": False,
        "generators": {"gaussian": {}},
        "arms": {"real": {}, "gaussian": {"synthetic": {"generator": "gaussian"}}},
        "runtime": {"device": "cpu", "precision": "fp32"},
    }
    study = Study.load(plan).run(tmp_path / "out", workers=1)
    assert (study.results.frame["status"] == "ok").all(), study.results.frame["cause"].unique()


def test_an_external_set_must_have_the_same_masks(pairs, tmp_path):
    other = draw_pairs(groups=4, name="other", seed=3)
    renamed = other.card.model_copy(update={"mask_classes": ["kidney", "cyst"]})
    ImageSet(other.images, other.records, renamed, other.masks).save(tmp_path / "other")
    study = Study.load(plan_of(pairs, external={"other": str(tmp_path / "other")}))
    with pytest.raises(ConfigError, match="external set 'other'.*cyst.*does not match"):
        study.run(tmp_path / "out")


def test_a_model_that_can_not_be_built_is_named_before_anything_is_trained(pairs, tmp_path):
    arms = {"unet": {}, "fpn": {"task": {"model": "smp:FPN:resnet18"}}}
    with pytest.raises(ConfigError, match=r"arms\.fpn: task\.width has no meaning for smp:FPN"):
        Study.load(plan_of(pairs, arms=arms)).run(tmp_path / "out", workers=1)
    assert not (tmp_path / "out" / "cells").exists()


def test_a_failed_model_is_a_result_with_its_metrics(pairs, tmp_path, monkeypatch):
    def fit(task, data, **options):
        if task.config.model == "fcn":
            raise RuntimeError("no memory")
        return own(task, data, **options)

    own = SegmentationTask.fit
    monkeypatch.setattr(SegmentationTask, "fit", fit)
    arms = {"unet": {}, "fpn": {"task": {"model": "fcn"}}}
    study = Study.load(plan_of(pairs, arms=arms)).run(tmp_path / "out", workers=1)
    failed = study.results.frame[study.results.frame["arm"] == "fpn"]
    assert set(failed["status"]) == {"failed"}
    assert {"dice", "dice[kidney]", "hd95"} <= set(failed["metric"])
    assert failed["value"].isna().all()
    assert study.verdict.failed_cells == 2


def test_oversampling_copies_masks_too(pairs):
    images = ImageSet.open(pairs)
    study = Study.load(plan_of(pairs))
    where = list_folds(study.plan, 1.0)[0]
    split = split_fold(study.plan, images, where)
    arm = assemble(
        study.plan.recipe("oversample"),
        images.take(split.train),
        images.take(split.validation),
        sampler=None,
        seeds=where.seeds(study.plan),
    )
    train = arm.data.train
    assert arm.oversampled_images == round(0.5 * len(split.train))
    originals = {name: row for row, name in enumerate(train.records["image_id"])}
    for row, name in enumerate(train.records["image_id"]):
        if name.startswith("copy"):
            source = originals[name.partition("-")[2]]
            np.testing.assert_array_equal(train.masks[row], train.masks[source])


def test_pairs_are_filtered_by_realism_with_their_masks(pairs, tmp_path):
    spec = {"generator": "resampler", "ratio": 0.5, "filter": {"by": "realism", "keep": 0.25}}
    arms = {"unet": {}, "best": {"synthetic": spec}}
    result = Study.load(plan_of(pairs, arms=arms)).run(tmp_path / "out", workers=1)
    assert result.verdict.failed_cells == 0
    record = read_json(next(result.folder.glob("cells/best__*/cell.json")))
    found = record["filter"]["classes"][""]
    assert found["kept"] == record["synthetic_images"] == round(0.5 * record["train_images"])
    assert found["candidates"] == 4 * found["kept"]
