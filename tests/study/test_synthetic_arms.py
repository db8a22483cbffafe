"""Arms with synthetic images: translators, filters and sweeps of ratios."""

from __future__ import annotations

import copy
import importlib.util
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from medgain.imageset.imageset import Card, ImageSet
from medgain.runtime.errors import ConfigError, DataError, MedgainError
from medgain.runtime.files import read_json
from medgain.runtime.seeds import SeedTree
from medgain.study import Study, load_plan, open_study
from medgain.study.cells import list_cells, split_fold
from medgain.study.dataset import load_prepared, prepare
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Arm
from medgain.study.plan.synthetic import Filter
from medgain.study.stages.base import StageContext
from medgain.study.stages.generator import (
    generator_key,
    generator_stages,
    training_images,
    validation_images,
)
from medgain.study.stages.graph import list_stages
from medgain.study.synthetic.filter_scores import AgreementScore, RealismScore, fit_softmax
from medgain.study.synthetic.filtering import FilteredSampler
from medgain.study.synthetic.routes import making, settings_for_classes
from medgain.study.synthetic.sampling import open_sampler, translate
from toys import draw, toy_plan

TINY = {"width": 2, "batch_size": 4, "blocks": 1}


def three(size: int = 16) -> ImageSet:
    """Return a set of three classes, of which the third is brightest."""
    rng = np.random.default_rng(0)
    labels = [["a", "b", "c"][number % 3] for number in range(36)]
    shift = np.array([40 * "abc".index(label) for label in labels])[:, None, None, None]
    images = (rng.integers(0, 60, (36, size, size, 1)) + shift).astype(np.uint8)
    card = Card(name="three", classes=["a", "b", "c"], groups_known=True)
    return ImageSet.from_arrays(
        images, labels=labels, groups=[f"g{n}" for n in range(36)], card=card
    )


def with_arm(plan: dict[str, Any], **synthetic: Any) -> dict[str, Any]:
    plan = copy.deepcopy(plan)
    plan["generators"] |= {
        "cyclegan": {"budget": {"kimg": 0.008}, "config": TINY},
        "stargan": {"budget": {"kimg": 0.016}, "config": TINY},
        "biggan": {},
        "dcgan": {},
    }
    plan["arms"] = {"real": {}, "arm": {"synthetic": synthetic}}
    return plan


# --- plans -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        ({"ratio": []}, r"arms.arm.synthetic.ratio': an empty list sweeps nothing"),
        ({"ratio": [1, 1]}, r"ratio': a sweep needs ratios that differ"),
        ({"ratio": [1, 1.0000000001]}, r"a sweep needs ratios that differ"),
        ({"ratio": [-1]}, r"can't be negative"),
        ({"ratio": [0, 1]}, r"can't hold 0"),
        ({"ratio": [[1]]}, r"a number for each class, or a list"),
        ({"ratio": "lots"}, r"'arms.arm.synthetic.ratio' can't be 'lots': a ratio is"),
        ({"ratio": True}, r"a ratio is a number"),
        ({"ratio": float("nan")}, r"must be finite"),
        ({"ratio": {"ill": [0.5, 1]}}, r"one list for all classes"),
        ({"ratio": {"ill": -1}}, r"can't be negative"),
        ({"count": {"ill": -1}}, r"can't be negative"),
        ({"filter": {"by": "realism", "keep": 0}}, r"filter.keep' can't be 0: .*greater than 0"),
        ({"filter": {"by": "realism", "keep": 1.5}}, r"filter.keep' can't be 1.5: .*equal to 1"),
        (
            {"filter": {"by": "nonsense"}},
            r"filter.by' can't be 'nonsense': .*'classifier-agreement', 'realism'",
        ),
        ({"filter": {"keep": 0.5}}, r"filter.by' is missing"),
        ({"filter": {"by": "realism", "kep": 1}}, r"unknown key .*kep' .*'keep'"),
        ({"frm": "well"}, r"unknown key 'arms.arm.synthetic.frm' .*'from'"),
        ({"source": "well"}, r"unknown key 'arms.arm.synthetic.source'"),
        ({"from": "ill", "to": "ill"}, r"from and to are both 'ill'"),
        ({"from": "ill"}, r"arms.arm.synthetic.from: 'dcgan' does not translate.*cyclegan"),
        ({"to": "ill"}, r"arms.arm.synthetic.to: 'dcgan' does not translate.*ratio or count"),
    ],
)
def test_plans_with_hostile_values_are_refused_by_key(plan, synthetic, message):
    with pytest.raises(ConfigError, match=message):
        load_plan(with_arm(plan, generator="dcgan", **synthetic))


@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        ({"from": "healthy"}, r"synthetic.from names 'healthy'.*\['ill', 'well'\]"),
        ({"from": "well", "to": "sick"}, r"synthetic.to names 'sick'"),
        ({"to": "ill", "ratio": {"well": 1.0}}, r"wants images of \['well'\], and makes \['ill'\]"),
        ({"from": "well", "count": {"well": 3}}, r"wants images of \['well'\]"),
        ({"to": "ill", "use": "pretrain"}, r"pretraining needs .* two classes.*of \['ill'\]"),
        ({"ratio": {"ill": 1.0}, "use": "pretrain"}, r"pretraining needs images of two classes"),
    ],
)
def test_classes_that_do_not_exist_or_are_not_made_are_refused(plan, tmp_path, synthetic, message):
    loaded = load_plan(with_arm(plan, generator="cyclegan", **synthetic))
    with pytest.raises(ConfigError, match=message):
        prepare(loaded, StudyFolder(tmp_path / "out"))


def test_missing_package_stops_the_study_before_anything_is_trained(plan, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    missing = lambda name, *rest: None if name == "diffusers" else find(name, *rest)  # noqa: E731
    monkeypatch.setattr("medgain.generators.models.ddpm.network.importlib.util.find_spec", missing)
    plan["generators"]["ddpm"] = {}
    prepare(load_plan(plan), StudyFolder(tmp_path / "unused"))  # no arm uses it
    plan["arms"]["diffusion"] = {"synthetic": {"generator": "ddpm", "ratio": 1.0}}
    with pytest.raises(MedgainError, match=r"pip install 'medgain\[diffusion\]'"):
        prepare(load_plan(plan), StudyFolder(tmp_path / "out"))


def test_what_segmentation_cannot_use_is_refused(plan):
    changed = with_arm(plan, generator="dcgan", filter={"by": "classifier-agreement"})
    changed["task"] = {"kind": "segmentation", "steps": 4}
    with pytest.raises(ConfigError, match=r"arm.synthetic.filter: .*segmentation.*realism"):
        load_plan(changed)


def test_a_sweep_becomes_an_arm_for_each_ratio(plan):
    plan["arms"] = {
        "real": {},
        "some": {"policy": "none", "synthetic": {"generator": "gaussian", "ratio": [2, 0.25]}},
        "last": {"fractions": [1.0]},
    }
    loaded = load_plan(plan)
    assert list(loaded.arms) == ["real", "some@2", "some@0.25", "last"]
    assert loaded.arms["some@2"].policy == "none"
    assert loaded.arms["some@0.25"].synthetic.ratio == 0.25
    assert [loaded.dose_of(arm) for arm in loaded.arms] == [
        *(None, ("some", 2.0), ("some", 0.25), None)
    ]
    again = load_plan(loaded.model_dump(mode="json"))
    assert again == loaded
    assert [again.dose_of(arm) for arm in again.arms][1] == ("some", 2.0)
    plan["arms"]["some@2"] = {}
    with pytest.raises(ConfigError, match="makes an arm 'some@2', and the plan has one"):
        load_plan(plan)
    del plan["arms"]["some@2"]
    plan["arms"]["aa"] = {"same_as": "some"}
    with pytest.raises(ConfigError, match=r"same_as: unknown name 'some'.*some@"):
        load_plan(plan)


def test_the_keys_of_plans_without_any_of_this_are_as_they_were(plan):
    """A study that was begun before goes on: nothing new stands in what is hashed."""
    dumped = Arm.model_validate(
        {"synthetic": {"generator": "g", "ratio": {"ill": 1.0}}}
    ).model_dump(exclude={"reference", "fractions", "same_as"})
    assert dumped["synthetic"] == {
        "generator": "g",
        "ratio": {"ill": 1.0},
        "count": None,
        "use": "mix",
    }
    named = Arm.model_validate(
        {"synthetic": {"generator": "g", "from": "a", "to": "b", "filter": {"by": "none"}}}
    ).model_dump()["synthetic"]
    assert (named["from"], named["to"]) == ("a", "b")
    assert named["filter"] == {"by": "none", "keep": 0.5}


# --- which classes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generator", "config", "synthetic", "learned", "routes"),
    [
        ("cyclegan", {}, {"from": "a", "to": "b"}, "ab", {"b": "a"}),
        ("cyclegan", {}, {"from": "c", "to": "a"}, "ac", {"a": "c"}),
        ("cyclegan", {"source": "a", "target": "c"}, {}, "ac", {"c": "a"}),
        ("cyclegan", {"source": "a", "target": "c"}, {"to": "a"}, "ac", {"a": "c"}),
        ("cyclegan", {"source": "a"}, {"to": "b"}, "ab", {"b": "a"}),
        ("stargan", {}, {}, "abc", {"a": "bc", "b": "ac", "c": "ab"}),
        ("stargan", {}, {"from": "a"}, "abc", {"b": "a", "c": "a"}),
        ("stargan", {}, {"to": "c"}, "abc", {"c": "ab"}),
        ("stargan", {}, {"from": "b", "to": "c"}, "abc", {"c": "b"}),
        ("biggan", {}, {}, "abc", {"a": "", "b": "", "c": ""}),
        ("dcgan", {}, {}, "", {"a": "", "b": "", "c": ""}),
    ],
)
def test_what_is_learned_and_what_is_made(plan, generator, config, synthetic, learned, routes):
    plan = with_arm(plan, generator=generator, **synthetic)
    plan["generators"][generator] = {"config": config}
    made = making(load_plan(plan), "arm", three())
    assert made is not None
    assert made.learned == tuple(learned)
    assert made.routes == {label: tuple(sources) for label, sources in routes.items()}


@pytest.mark.parametrize(
    ("config", "synthetic", "message"),
    [
        ({}, {}, r"translates one class into another.*\['a', 'b', 'c'\].*from and .*to"),
        ({}, {"from": "a"}, r"translates one class into another"),
        ({"source": "a", "target": "b"}, {"from": "b", "to": "c"}, r"config names a and b"),
        ({"source": "x"}, {}, r"generators.cyclegan.config.source names 'x'"),
        ({"source": "a", "target": "a"}, {}, r"source and target are both 'a'"),
    ],
)
def test_pairs_that_are_not_clear_are_refused(plan, config, synthetic, message):
    plan = with_arm(plan, generator="cyclegan", **synthetic)
    plan["generators"]["cyclegan"] = {"config": config}
    with pytest.raises(ConfigError, match=message):
        making(load_plan(plan), "arm", three())


def test_two_classes_are_translated_both_ways_by_one_generator(plan, toy):
    loaded, images = load_plan(with_arm(plan, generator="cyclegan")), ImageSet.open(toy)
    made = making(loaded, "arm", images)
    assert made is not None
    assert made.learned == ("ill", "well")
    assert made.routes == {"ill": ("well",), "well": ("ill",)}
    settings = settings_for_classes(loaded, "cyclegan", made.learned, images)
    assert settings == {"source": "well", "target": "ill"}  # towards the positive class


# --- studies with translators ----------------------------------------------------------------


@pytest.fixture(scope="module")
def translated(tmp_path_factory):
    """A study with arms that translate: one direction, both, filtered, pretrained, class-wise."""
    folder = tmp_path_factory.mktemp("translated")
    plan = toy_plan(draw(size=32).save(folder / "toy"))
    plan["fractions"] = [1.0]
    plan["generators"] = {
        "cyclegan": {"budget": {"kimg": 0.008}, "config": {**TINY, "pool": 2}},
        "stargan": {"budget": {"kimg": 0.016}, "config": TINY},
        "biggan": {
            "budget": {"kimg": 0.016},
            "config": {"width": 2, "latent": 8, "embedding": 4, "batch_size": 8},
        },
        "bare": {
            "model": "cyclegan",
            "budget": {"kimg": 0.008},
            "config": {**TINY, "keep_sources": False},
        },
    }
    one_way = {"from": "well", "to": "ill"}
    plan["arms"] = {
        "real": {},
        "forth": {"synthetic": {"generator": "cyclegan", **one_way, "ratio": 3.0}},
        "both": {"synthetic": {"generator": "cyclegan", "ratio": {"ill": 0.5, "well": 0.5}}},
        "bare": {"synthetic": {"generator": "bare", **one_way, "ratio": 3.0}},
        "first": {
            "synthetic": {
                "generator": "cyclegan",
                "use": "pretrain",
                "filter": {"by": "realism", "keep": 0.5},
            }
        },
        "told": {"synthetic": {"generator": "biggan", "count": {"ill": 5}}},
        "star": {
            "synthetic": {
                "generator": "stargan",
                "count": 6,
                "filter": {"by": "classifier-agreement", "keep": 0.5},
            }
        },
    }
    return Study.load(plan).run(folder / "out", workers=1)


def test_translating_arms_finish_and_add_the_class_they_are_asked_for(translated):
    frame = translated.results.frame
    assert (frame["status"] == "ok").all(), frame["cause"].unique()
    study, prepared = open_study(translated.folder), load_prepared(StudyFolder(translated.folder))
    for cell in list_cells(study.plan):
        record = read_json(translated.folder / "cells" / cell.name / "cell.json")
        split = split_fold(study.plan, prepared.images, cell.where, prepared.banned)
        real = prepared.images.take(split.train).records["label"].value_counts()
        wanted = {
            "real": 0,
            "forth": 3 * real["ill"],
            "both": round(0.5 * real["ill"]) + round(0.5 * real["well"]),
            "bare": 3 * real["ill"],
            "first": real["ill"] + real["well"],
            "told": 5,
            "star": 12,
        }
        assert record["synthetic_images"] == wanted[cell.arm]
        if cell.arm == "first":
            assert record["details"]["phases"][0]["name"].startswith("pretrain")


def test_arms_share_a_translator_and_it_learns_the_training_part_alone(translated):
    study, prepared = open_study(translated.folder), load_prepared(StudyFolder(translated.folder))
    keys = read_json(translated.folder / "stages" / "stages.json")["generators"]
    assert len(keys) == 2 * 4  # repeats × generators
    hashes = prepared.images.records["sha256"]
    for cell in list_cells(study.plan):
        split = split_fold(study.plan, prepared.images, cell.where, prepared.banned)
        for stage in generator_stages(study.plan, prepared, cell):
            seen = training_images(study.plan, prepared, stage)
            assert set(seen.records["sha256"]) == set(hashes.iloc[split.train])
            held = validation_images(study.plan, prepared, stage)
            assert set(held.records["sha256"]) == set(hashes.iloc[split.validation])
            record = read_json(
                StudyFolder(translated.folder).generator(generator_key(study.plan, prepared, stage))
                / "stage.json"
            )
            assert record["label"] == "ill, well"
            assert record["validation_images"] == len(held)
            assert np.isfinite(record["history"]["kd"]).all()
            if stage.name == "cyclegan":
                assert record["config"]["target"] == "ill"
                assert record["translates"] == {"from": ["well"], "to": "ill"}


def test_a_generator_that_is_told_the_class_is_trained_once_and_asked_for_it(translated):
    folder = StudyFolder(translated.folder)
    study, prepared = open_study(folder.path), load_prepared(folder)
    cell = next(cell for cell in list_cells(study.plan) if cell.arm == "told")
    (stage,) = generator_stages(study.plan, prepared, cell)
    assert stage.classes == ("ill", "well")
    drawing = open_sampler(
        folder, study.plan, prepared, cell, training_images(study.plan, prepared, stage)
    )
    assert drawing is not None
    assert set(drawing("ill", 3).records["label"]) == {"ill"}
    assert set(drawing("well", 3).records["label"]) == {"well"}


@pytest.mark.parametrize("arm", ["forth", "both", "bare", "star"])
def test_translations_are_of_training_images_and_in_their_groups(translated, arm):
    folder = StudyFolder(translated.folder)
    study, prepared = open_study(folder.path), load_prepared(folder)
    cell = next(cell for cell in list_cells(study.plan) if cell.arm == arm)
    split = split_fold(study.plan, prepared.images, cell.where, prepared.banned)
    train = prepared.images.take(split.train)
    drawing = open_sampler(folder, study.plan, prepared, cell, train)
    assert drawing is not None
    groups = train.records.set_index("image_id")["group"]
    for label in drawing.making.makes:
        drawn = drawing(label, 60)
        assert set(drawn.records["label"]) == {label}
        sources = drawn.records["translated_from"]
        assert (drawn.records["group"].to_numpy() == groups[sources].to_numpy()).all()
        assert (drawn.records["source_label"] != label).all()
        assert not drawn.records["image_id"].duplicated().any()
        # every source is used before any is used twice, and twice is not the same again
        pool = int((train.records["label"] != label).sum())
        assert sources.iloc[:pool].nunique() == min(pool, 60)
        np.testing.assert_array_equal(drawing(label, 60).images, drawn.images)


def test_filters_leave_their_figures_in_the_cell(translated):
    record = read_json(next(translated.folder.glob("cells/star__*/cell.json")))["filter"]
    assert record["by"] == "classifier-agreement"
    assert 0 <= record["balanced_accuracy"] <= 1
    for found in record["classes"].values():
        assert (found["candidates"], found["kept"]) == (12, 6)
        assert 0 <= found["threshold"] <= found["mean_score_kept"] <= 1
        assert found["mean_score"] <= found["mean_score_kept"]
    assert read_json(next(translated.folder.glob("cells/real__*/cell.json")))["filter"] is None


def test_the_page_shows_translations_beside_their_sources_and_what_filters_kept(translated):
    from medgain.report import write_report

    page = write_report(translated.folder).read_text(encoding="utf-8")
    assert "cyclegan · well → ill" in page
    assert "translated to ill" in page
    assert "What the filters kept" in page
    assert 'id="doses"' not in page  # nothing was swept


def test_sources_that_are_given_repeat_with_changes(translated):
    folder = StudyFolder(translated.folder)
    study, prepared = open_study(folder.path), load_prepared(folder)
    cell = next(cell for cell in list_cells(study.plan) if cell.arm == "star")
    train = prepared.images.take(
        split_fold(study.plan, prepared.images, cell.where, prepared.banned).train
    )
    drawing = open_sampler(folder, study.plan, prepared, cell, train)
    assert drawing is not None
    well = train.take(train.records["label"] == "well").take(range(5))
    drawn = translate(drawing.generators["ill"], well, "ill", 12, SeedTree(0))
    assert drawn.records["translated_from"].value_counts().tolist() == [3, 3, 2, 2, 2]
    assert drawn.records["sha256"].nunique() == 12
    shorter = translate(drawing.generators["ill"], well, "ill", 7, SeedTree(0))
    np.testing.assert_array_equal(shorter.images, drawn.images[:7])


# --- leaks -----------------------------------------------------------------------------------


def test_no_test_image_reaches_a_generator_a_filter_or_a_threshold(plan, tmp_path, monkeypatch):
    """Everything that is learned from or chosen by is recorded, in every fold."""
    from medgain.generators.models.copy import CopyGenerator
    from medgain.generators.models.gaussian import GaussianGenerator
    from medgain.study.synthetic import filter_scores

    seen: dict[str, set[str]] = {"trained": set(), "followed": set(), "judged": set()}

    def spy(kind):
        fit = kind.fit

        def recorded(self, real, budget, context):
            seen["trained"] |= set(real.records["sha256"])
            if context.validation is not None:
                seen["followed"] |= set(context.validation.records["sha256"])
            return fit(self, real, budget, context)

        monkeypatch.setattr(kind, "fit", recorded)

    spy(GaussianGenerator)
    spy(CopyGenerator)
    for kind in (filter_scores.AgreementScore, filter_scores.RealismScore):
        begin = kind.__init__

        def recorded(self, train, *rest, begin=begin):
            seen["judged"] |= set(train.records["sha256"])
            begin(self, train, *rest)

        monkeypatch.setattr(kind, "__init__", recorded)
    kinds = [
        {"generator": name, "ratio": [0.5, 1], "filter": {"by": by, "keep": 0.5}}
        for name, by in itertools.product(
            ("gaussian", "resampler"), ("classifier-agreement", "realism")
        )
    ]
    plan |= {"fractions": [1.0]}
    plan["protocol"] = {"kind": "official", "seeds": 2}
    plan["arms"] = {"real": {}} | {f"arm{n}": {"synthetic": kind} for n, kind in enumerate(kinds)}
    result = Study.load(plan).run(tmp_path / "out", workers=1)
    assert result.verdict.failed_cells == 0
    study, prepared = open_study(result.folder), load_prepared(StudyFolder(result.folder))
    hashes = prepared.images.records["sha256"]
    folds = {cell.where for cell in list_cells(study.plan)}
    splits = [split_fold(study.plan, prepared.images, one, prepared.banned) for one in folds]
    test = set(hashes.iloc[splits[0].test])
    train = set().union(*(hashes.iloc[split.train] for split in splits))
    validation = set().union(*(hashes.iloc[split.validation] for split in splits))
    assert seen["trained"] == seen["judged"] == train
    assert seen["followed"] and seen["followed"] <= validation
    assert not test & (train | validation)


def test_validation_images_are_in_a_generators_key_only_where_they_choose(plan, tmp_path):
    plan["generators"] = {"dcgan": {}, "best": {"model": "dcgan", "config": {"keep": "best"}}}
    plan["arms"] = {"real": {}} | {
        name: {"synthetic": {"generator": name}} for name in plan["generators"]
    }
    loaded = Study.load(plan).plan
    prepared = prepare(loaded, StudyFolder(tmp_path / "out"))
    cells = {cell.arm: cell for cell in list_cells(loaded) if cell.where.fraction == 1}
    for name, chooses in (("dcgan", False), ("best", True)):
        stage = generator_stages(loaded, prepared, cells[name])[0]
        before = generator_key(loaded, prepared, stage)
        for changed, counts in (
            (training_images(loaded, prepared, stage), True),
            (validation_images(loaded, prepared, stage), chooses),
        ):
            records = prepared.images.records.copy()
            first = records["image_id"] == changed.records["image_id"].iloc[0]
            records.loc[first, "sha256"] = "another image"
            images = ImageSet(prepared.images.images, records, prepared.images.card)
            other = replace(prepared, images=images)
            assert (generator_key(loaded, other, stage) != before) == counts


def test_keys_read_no_pixels(plan, tmp_path, monkeypatch):
    plan |= {"assess": True}
    loaded = Study.load(plan).plan
    folder = StudyFolder(tmp_path / "out")
    context = StageContext(folder, loaded, prepare(loaded, folder))
    monkeypatch.setattr(ImageSet, "take", None)
    stages = list_stages(loaded, context.prepared)
    assert {stage.kind for stage in stages} == {"generators", "cells", "assessments"}
    keys = [stage.key(context) for stage in stages]
    assert len(set(keys)) == len(stages)


def test_a_fold_is_divided_once(plan, tmp_path, monkeypatch):
    from medgain.study import dataset

    loaded = Study.load(plan).plan
    divided = []

    def split(plan, images, where, banned):
        divided.append(where)
        return split_fold(plan, images, where, banned)

    monkeypatch.setattr(dataset, "split_fold", split)
    folder = StudyFolder(tmp_path / "out")
    prepared = prepare(loaded, folder)
    context = StageContext(folder, loaded, prepared)
    for stage in list_stages(loaded, prepared):
        stage.key(context)
    assert sorted(divided) == sorted({cell.where for cell in list_cells(loaded)})


# --- filters ---------------------------------------------------------------------------------


def test_agreement_knows_the_classes_and_how_well_it_knows_them():
    real = three()
    score = AgreementScore(real, SeedTree(0))
    assert score.described["balanced_accuracy"] > 0.9
    own = real.records["label"].to_numpy()
    for label in "abc":
        scores = score.scores(real, label)
        assert scores.min() >= 0 and scores.max() <= 1
        assert scores[own == label].min() > scores[own != label].max()
    total = sum(score.scores(real, label) for label in "abc")
    np.testing.assert_allclose(total, 1.0)
    with pytest.raises(DataError, match="no training image is of the class 'd'"):
        score.scores(real, "d")
    with pytest.raises(DataError, match="two classes.*realism"):
        AgreementScore(real.take(own == "a"), SeedTree(0))


def test_softmax_regression_weighs_classes_alike_and_has_a_known_solution():
    # without features that help, probabilities are the classes' weights: alike, not as often
    codes = np.array([0] * 30 + [1] * 10)
    weights = fit_softmax(np.zeros((40, 3)), codes, 2)
    np.testing.assert_allclose(weights[:-1], 0, atol=1e-6)
    assert abs(weights[-1, 0] - weights[-1, 1]) < 1e-4


def test_realism_is_the_papers_ratio_without_the_widest_balls():
    from medgain.metrics.fidelity import standardise
    from medgain.metrics.radiomics.features import radiomics

    images = three()
    own = images.records["label"].to_numpy()
    real, made = images.take(own == "a"), images.take(own != "c")
    scores = RealismScore(images).scores(made, "a")
    first, second = standardise(
        radiomics(np.asarray(real.images))[0], radiomics(np.asarray(made.images))[0]
    )
    apart = np.linalg.norm(first[:, None] - first[None], axis=2)
    radii = np.sort(apart, axis=1)[:, 3]  # the first is the image itself
    kept = radii <= np.median(radii)
    to_made = np.linalg.norm(first[kept][:, None] - second[None], axis=2)
    expected = (radii[kept][:, None] / np.maximum(to_made, 1e-9)).max(axis=0)
    copies = expected > 1e3
    np.testing.assert_allclose(scores[~copies], expected[~copies], rtol=1e-6)
    assert np.isfinite(scores).all() and (scores[copies] > 1e3).all()
    labels = made.records["label"].to_numpy()
    assert np.median(scores[labels == "a"]) > 2 * np.median(scores[labels == "b"])
    with pytest.raises(DataError, match="at least 4 training images of the class 'a'"):
        RealismScore(images.take([0, 1, 2, 3])).scores(made, "a")


@pytest.mark.parametrize("keep", [1.0, 0.5, 0.3, 0.001])
def test_a_filter_keeps_the_best_share_in_the_order_drawn(keep):
    real = three()
    pool = real.take(real.records["label"].to_numpy() != "c")
    asked = []

    def sampler(label, count):
        asked.append(count)
        rows = np.arange(count) % len(pool)
        ids = [f"made-{number:05d}" for number in range(count)]
        records = pool.records.iloc[rows].assign(image_id=ids)
        # no copies: a copy's distance to its image is a rounding error, and so is its score
        images = np.asarray(pool.images)[rows] // 2 + 30
        return ImageSet(images, records, pool.card)

    chosen = FilteredSampler(sampler, Filter(by="realism", keep=keep), real, SeedTree(0))
    kept = chosen("a", 3)
    assert asked == [{1.0: 3, 0.5: 6, 0.3: 10, 0.001: 3000}[keep]]
    assert len(kept) == 3
    assert kept.records["image_id"].is_monotonic_increasing
    described = chosen.report()
    assert (described.by, described.keep) == ("realism", keep)
    scores = RealismScore(real).scores(kept, "a")
    assert described.classes["a"].threshold == pytest.approx(scores.min())
    assert described.classes["a"].kept == 3


def test_no_filter_is_as_if_it_were_not_there(plan, tmp_path):
    arm = {"synthetic": {"generator": "gaussian", "ratio": 0.5}}
    plan["arms"] = {"real": {}, "plain": arm}
    plan["fractions"] = [1.0]
    one = Study.load(plan).run(tmp_path / "one", workers=1)
    arm["synthetic"]["filter"] = {"by": "none", "keep": 0.1}
    two = Study.load(plan).run(tmp_path / "two", workers=1)
    values = [result.results.frame["value"].to_numpy() for result in (one, two)]
    np.testing.assert_array_equal(*values)


def test_a_filter_that_cannot_score_fails_its_cells_and_says_why(plan, tmp_path, monkeypatch):
    from medgain.study.synthetic import filter_scores

    monkeypatch.setattr(filter_scores, "NEIGHBOURS", 10_000)
    spec = {"generator": "gaussian", "filter": {"by": "realism"}}
    plan["arms"] = {"real": {}, "filtered": {"synthetic": spec}}
    result = Study.load(plan).run(tmp_path / "out", workers=1)
    failed = result.results.frame[result.results.frame["status"] == "failed"]
    assert set(failed["arm"]) == {"filtered"}
    assert failed["cause"].str.contains("realism needs at least 10001 training images").all()


# --- sweeps ----------------------------------------------------------------------------------


def test_a_sweep_shares_its_generators_and_counts_in_holm(plan, tmp_path):
    from medgain.report import write_report

    plan["arms"] = {
        "real": {},
        "dose": {"synthetic": {"generator": "gaussian", "ratio": [0.5, 1, 2]}},
        "aa": {"same_as": "real"},
    }
    result = Study.load(plan).run(tmp_path / "out", workers=1)
    stages = list((tmp_path / "out" / "stages" / "generators").iterdir())
    assert len(stages) == 2 * 2 * 2  # fractions × repeats × classes, as for one arm
    primary = [one for one in result.verdict.comparisons if one.primary]
    swept = [one for one in primary if one.sweep]
    assert {(one.arm, one.sweep.name, one.sweep.ratio) for one in swept} == {
        *(("dose@0.5", "dose", 0.5), ("dose@1", "dose", 1.0), ("dose@2", "dose", 2.0))
    }
    least = min(primary, key=lambda one: one.p_value)
    assert least.p_holm == pytest.approx(min(1.0, 8 * least.p_value))  # 4 arms × 2 fractions
    counts = result.results.frame.groupby(["fraction", "repeat", "arm"])["synthetic_images"].first()
    for (_, _), rows in counts.groupby(level=[0, 1]):
        by_arm = rows.droplevel([0, 1])
        assert by_arm["dose@2"] == 2 * by_arm["dose@1"] > 2 * by_arm["dose@0.5"] - 2 > 0
    assert sum("'dose' was run at several ratios" in note for note in result.verdict.notes) == 1
    page = write_report(result.folder).read_text(encoding="utf-8")
    assert 'id="doses"' in page
    assert "the best of a sweep looks better than it is" in page
    assert page.count("synthetic images per real one</text>") == 4  # two fractions, two widths
