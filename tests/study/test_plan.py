"""Plans: presets, overrides, and errors that name the key and the remedy."""

import copy
from pathlib import Path

import pytest
import yaml

from medgain.runtime.errors import ConfigError
from medgain.study import load_plan
from medgain.study.cells import Cell, Fold, list_cells
from medgain.study.keys import cell_key
from medgain.study.plan.plan import Plan

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_and_preset_is_valid(recipe):
    presets = yaml.safe_load(recipe.read_text()).get("presets", {})
    for preset in (None, *presets):
        plan = load_plan(recipe, preset=preset)
        assert list_cells(plan)


def test_pneumonia_recipe_has_the_arms_fractions_and_seeds_of_its_issue():
    plan = load_plan(RECIPES[0].with_name("pneumonia-dcgan.yaml"))
    assert list(plan.arms) == ["real", "oversample", "classical", "dcgan", "classical+dcgan", "aa"]
    assert plan.fractions == [0.02, 0.05, 0.2, 1.0]
    assert len(list_cells(plan)) == 6 * 4 * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrik": "auroc"}, r"unknown key 'metrik' \(did you mean 'metric'\?\)"),
        ({"arms": {"real": {"polcy": "none"}}}, r"unknown key 'arms.real.polcy' .*'policy'"),
        ({"protocol": {"seed": 3}}, r"unknown key 'protocol.seed' .*'seeds'"),
        ({"protocol": {"kind": "loo"}}, r"'protocol'.*official"),
        ({"generators": {"gaussian": {"budget": {"kimgs": 1}}}}, r"budget.kimgs.*'kimg'"),
        ({"generators": {"gausian": {}}}, r"unknown generator 'gausian'.*'gaussian'"),
        ({"generators": {"gaussian": {"config": {"x": 1}}}}, r"gaussian.config: unknown key 'x'"),
        ({"task": {"step": 5}}, r"task: unknown key 'step' .*'steps'"),
        ({"task": {"kind": "classify"}}, r"unknown task 'classify'.*'classification'"),
        ({"metric": "aurok"}, r"unknown name 'aurok'.*'auroc'"),
        ({"reference": "reel"}, r"reference: unknown name 'reel'.*'real'"),
        ({"arms": {"gaussian": {"synthetic": {"generator": "gan"}}}}, r"unknown name 'gan'"),
        ({"arms": {"aa": {"same_as": "rael"}}}, r"arms.aa.same_as: unknown name 'rael'"),
        ({"arms": {"aa": {"same_as": "real", "oversample": 1}}}, r"stands alone"),
        ({"arms": {"real": {"policy": "pneumonia-e9"}}}, r"arms.real.policy.*pneumonia-e"),
        ({"arms": {"real": {"fractions": [0.3]}}}, r"\[0.3\] are not among"),
        ({"arms": {"a/b": {}}}, r"arm names can't hold"),
        ({"fractions": [0.0]}, r"fractions lie above 0"),
        (
            {"arms": {"real": {"oversample": -1}}},
            r"'arms.real.oversample' can't be -1.*greater than 0",
        ),
        ({"arms": {"real": {"oversample": "even"}}}, r"'arms.real.oversample'.*or balanced"),
        ({"arms": {"real": {"oversample": {"ill": 0}}}}, r"'arms.real.oversample'.*greater than 0"),
        (
            {"arms": {"real": {"oversample": {"ill": "x"}}}},
            r"'arms.real.oversample'.*for each class",
        ),
        ({"arms": {"real": {"oversample": {}}}}, r"'arms.real.oversample'.*for each class"),
        ({"arms": {"real": {"oversample": float("inf")}}}, r"oversample'.*finite"),
        ({"arms": {"real": {"oversample": True}}}, r"oversample'.*a number"),
        ({"arms": {"real": {"task": {"input_px": 4}}}}, r"arms.real.task.*input_px.*8"),
        (
            {"arms": {"gaussian": {"synthetic": {"generator": "gaussian", "count": 3}}}},
            r"ratio or count, not both",
        ),
        ({"external": {"test": "x"}}, r"'test' is the name"),
    ],
)
def test_what_is_wrong_is_named_with_a_remedy(plan, change, message):
    with pytest.raises(ConfigError, match=message):
        load_plan(plan, overrides=change)


def test_files_that_hold_no_plan_are_named(tmp_path):
    for content, message in (("a: [", "not valid YAML"), ("- x", "holds no keys")):
        path = tmp_path / "plan.yaml"
        path.write_text(content)
        with pytest.raises(ConfigError, match=message):
            load_plan(path)
    with pytest.raises(ConfigError, match=r"missing\.yaml does not exist"):
        load_plan(tmp_path / "missing.yaml")


def test_presets_and_overrides_lie_over_the_plan_in_that_order(plan):
    plan["presets"] = {"smoke": {"fractions": [0.5], "task": {"steps": 2}}}
    laid = load_plan(plan, preset="smoke", overrides={"task": {"steps": 3}})
    assert (laid.fractions, laid.task["steps"], laid.task["batch_size"]) == ([0.5], 3, 16)
    with pytest.raises(ConfigError, match="no preset 'smok'.*did you mean 'smoke'"):
        load_plan(plan, preset="smok")


def test_a_resolved_plan_is_a_plan(plan):
    loaded = load_plan(plan)
    assert Plan.model_validate(yaml.safe_load(yaml.safe_dump(loaded.model_dump()))) == loaded


def test_an_empty_arm_may_stand_without_braces(plan):
    plan["arms"]["real"] = None
    assert load_plan(plan).arms["real"].policy is None


def test_adding_an_arm_changes_no_other_cell(plan):
    wider = copy.deepcopy(plan)
    wider["arms"] = {"new": {"oversample": 2.0}, **wider["arms"]}
    wider["protocol"]["seeds"] = 7
    one, other = load_plan(plan), load_plan(wider)
    for cell in list_cells(one):
        assert cell_key(one, cell, "data") == cell_key(other, cell, "data")
        assert cell.seeds(one).integer() == cell.seeds(other).integer()


def test_keys_change_with_whatever_changes_the_numbers(plan):
    cell = Cell("gaussian", Fold(0.5, 0, 0))
    base = cell_key(load_plan(plan), cell, "data")
    changes = [
        {"seed": 1},
        {"task": {"steps": 7}},
        {"protocol": {"validation": 0.3}},
        {"generators": {"gaussian": {"budget": {"kimg": 2}}}},
        {"arms": {"gaussian": {"synthetic": {"ratio": 0.25}}}},
        {"runtime": {"threads": 2}},
    ]
    keys = {cell_key(load_plan(plan, overrides=change), cell, "data") for change in changes}
    keys |= {base, cell_key(load_plan(plan), cell, "other data")}
    assert len(keys) == len(changes) + 2
    unrelated = load_plan(plan, overrides={"margin": 0.02, "arms": {"classical": {"policy": None}}})
    assert cell_key(unrelated, cell, "data") == base


def test_another_file_of_weights_under_the_same_name_is_another_key(plan, tmp_path):
    cell, file = Cell("real", Fold(0.5, 0, 0)), tmp_path / "weights.pth"
    loaded = load_plan(plan, overrides={"task": {"weights": str(file)}})
    keys = set()
    for content in (b"one", b"two"):
        file.write_bytes(content)
        keys.add(cell_key(loaded, cell, "data"))
    assert len(keys) == 2


def test_aa_repeats_the_reference_with_other_seeds(plan):
    loaded = load_plan(plan)
    where = Fold(1.0, 0, 0)
    assert loaded.recipe("aa") == loaded.arms["real"]
    seeds = {Cell(arm, where).seeds(loaded).integer() for arm in ("aa", "real")}
    assert len(seeds) == 2
