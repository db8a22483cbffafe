"""The main job on the real chest X-rays: the recipe's smoke preset, splits, and the leak guard."""

from pathlib import Path

import pytest

from medgain import ImageSet, Study, import_images
from medgain.generators.base import Budget, FitContext
from medgain.generators.models.copy import CopyGenerator
from medgain.study import load_plan
from medgain.study.cells import list_folds, split_fold
from medgain.study.dataset import load_prepared, prepare
from medgain.study.folder import StudyFolder
from medgain.study.stages.generator import GeneratorStage

RECIPE = Path(__file__).parents[2] / "recipes" / "pneumonia-dcgan.yaml"


@pytest.fixture(scope="module")
def xrays(medgain_data, tmp_path_factory):
    """The chest X-rays at 64 px, imported once."""
    out = tmp_path_factory.mktemp("sets") / "cxr"
    import_images(medgain_data / "chestxray", out, size_px=64)
    return out


def test_the_smoke_preset_runs_every_arm(xrays, tmp_path):
    study = Study.load(RECIPE, preset="smoke", overrides={"dataset": str(xrays)})
    result = study.run(tmp_path / "out", workers=2)
    assert result.verdict.failed_cells == 0
    primary = [one for one in result.verdict.comparisons if one.primary]
    assert {one.arm for one in primary} == {
        *("real", "oversample", "dcgan", "classical+dcgan", "aa")
    }
    auroc = result.results.frame.query("metric == 'auroc'")["value"]
    assert auroc.min() > 0.7, "even 30 steps learn something from real X-rays"
    counts = result.results.frame.set_index("arm")[["synthetic_images", "oversampled_images"]]
    assert (counts.loc["dcgan", "synthetic_images"] > 150).all()
    assert (counts.loc["oversample", "oversampled_images"] > 150).all()


@pytest.mark.parametrize(
    "protocol", [{"kind": "official", "seeds": 2}, {"kind": "cross-validation"}]
)
def test_what_a_generator_is_given_holds_no_validation_or_test_image(xrays, tmp_path, protocol):
    """The `copy` generator gives back all it saw; 32 copies stand twice in this set."""
    from medgain.study.stages.generator import training_images

    plan = load_plan(
        {
            "name": "copies",
            "dataset": str(xrays),
            "protocol": protocol,
            "generators": {"copy": {}},
            "fractions": [0.05, 1.0],
        }
    )
    folder = StudyFolder(tmp_path)
    prepare(plan, folder)
    prepared = load_prepared(folder)
    hashes = prepared.images.records["sha256"].to_numpy(dtype=object)
    for fraction in plan.fractions:
        for where in list_folds(plan, fraction):
            split = split_fold(plan, prepared.images, where, prepared.banned)
            held_out = set(hashes[split.validation]) | set(hashes[split.test])
            for label in prepared.images.classes:
                seen = training_images(plan, prepared, GeneratorStage("copy", label, where))
                generator = CopyGenerator()
                generator.fit(seen, Budget(), FitContext(seed=0))
                copies = generator.sample(2 * len(seen), seed=0).records["sha256"]
                assert set(copies) == set(seen.records["sha256"])
                assert not set(copies) & held_out
                assert set(seen.records["label"]) == {label}


def test_the_import_is_the_set_that_its_provenance_describes(xrays):
    images = ImageSet.open(xrays)
    counts = images.records.groupby(["split", "label"]).size().to_dict()
    assert counts == {
        ("train", "normal"): 1341,
        ("train", "pneumonia"): 3875,
        ("val", "normal"): 8,
        ("val", "pneumonia"): 8,
        ("test", "normal"): 234,
        ("test", "pneumonia"): 390,
    }
    assert images.card.positive == "pneumonia"
    assert "(split, number)" in images.card.group_rule
