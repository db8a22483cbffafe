"""The page on the five studies names all five recipes, with commands and presets that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanation" / "five-studies.md").read_text(encoding="utf-8")
FIVE = {
    "kidney-pix2pix",
    "pneumonia-gan-families",
    "lungs-fcn-unet",
    "melanoma-biggan",
    "pneumonia-transfer",
}
NAMED = sorted(set(re.findall(r"recipes/([\w-]+)\.yaml", PAGE)))
THERE = [name for name in NAMED if (ROOT / "recipes" / f"{name}.yaml").is_file()]


def test_all_five_recipes_are_named_and_nothing_is_named_that_is_no_recipe():
    assert set(NAMED) >= FIVE
    # others than the five must be there; the five come with their own tests
    assert set(NAMED) - FIVE <= set(THERE)
    table = PAGE[PAGE.index("## All five recipes") :]
    assert set(re.findall(r"recipes/([\w-]+)\.yaml", table)) == FIVE


@pytest.mark.parametrize("name", THERE)
def test_a_named_recipe_has_the_presets_that_the_page_promises(name):
    recipe = yaml.safe_load((ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert {"smoke", "cpu", "gpu"} <= set(recipe["presets"])
    for preset in re.findall(rf"recipes/{name}\.yaml --preset (\w+)", PAGE):
        assert preset in recipe["presets"]


def test_every_study_says_what_it_did_what_is_open_what_ours_does_and_what_came_out():
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    studies = [part for part in parts if re.match(r"[A-E]\. ", part)]
    assert [part[0] for part in studies] == list("ABCDE")
    for part in studies:
        for head in ("What it did.", "What that leaves open.", "What ours does.", "What came out"):
            assert f"**{head}" in part
