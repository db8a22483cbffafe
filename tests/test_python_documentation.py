"""docs/reference/python.md is run from top to bottom on phantoms: the whole story in Python."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from medgain.imageset.imageset import ImageSet
from medgain.phantoms import PHANTOMS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "python.md"
SMALLER = (  # what makes the examples short enough for a test; each must stand in the page
    ('advise("sets/cxr", "plan.yaml")', 'advise("sets/cxr", "plan.yaml", probe=False)'),
    (
        'overrides={"dataset": "sets/cxr"}',
        'overrides={"dataset": "sets/cxr", "task": {"steps": 4, "evaluate_every": 2},'
        ' "fractions": [1.0], "bootstrap": 100,'
        ' "generators": {"dcgan": {"budget": {"kimg": 0.05}, "config": {"width": 8}}}}',
    ),
    ("workers=2", "workers=1"),
    (
        'settings={"budget": {"kimg": 50}}',
        'settings={"budget": {"kimg": 0.1}, "config": {"width": 8}}',
    ),
    ("sample(500", "sample(40"),
    ('"score", steps=600', '"score", steps=4, repeats=1'),
    ('licence="CC-BY-4.0"', 'licence="CC-BY-4.0", accept_risk="a test on phantoms"'),
    ('settings={"steps": 800}', 'settings={"steps": 4, "evaluate_every": 2}'),
)


def write_xrays(folder: Path) -> None:
    """Write phantoms as the Kaggle set lies on a disk: split/CLASS/file, patients in the names."""
    made = PHANTOMS.get("chest")().make(120, size_px=64, seed=2)
    for i, (pixels, label) in enumerate(zip(made.images, made.records["label"], strict=True)):
        split = "test" if i % 3 == 0 else "train"
        ill = label == "pneumonia"
        name = f"person{i}_virus_{i}.png" if ill else f"IM-{i:04d}-0001.png"
        path = folder / split / ("PNEUMONIA" if ill else "NORMAL") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0]).save(path)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """The folder in which the page's examples ran, and the names that they left."""
    folder = tmp_path_factory.mktemp("story")
    write_xrays(folder / "chestxray")
    shutil.copytree(folder / "chestxray" / "test" / "NORMAL", folder / "new_images")
    (folder / "recipes").mkdir()
    shutil.copy(ROOT / "recipes" / "pneumonia-dcgan.yaml", folder / "recipes")
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for shown, smaller in SMALLER:
        assert code.count(shown) == 1, shown
        code = code.replace(shown, smaller)
    names: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(code, str(PAGE), "exec"), names)
    return folder, names


def test_the_story_leaves_what_its_commands_leave(told):
    folder, names = told
    for written in (
        *("sets/cxr/card.json", "sets/cxr-clean/cleaning.html", "plan.yaml"),
        *("studies/cxr/results.parquet", "studies/cxr/verdict.json", "studies/cxr/report.html"),
        *("score/score.html", "audit/audit.html", "release/datasheet.json"),
        *("models/cxr/model.json", "predictions/predictions.csv"),
    ):
        assert (folder / written).is_file(), written
    assert names["images"].classes == ["NORMAL", "PNEUMONIA"]
    assert names["later"].verdict == names["result"].verdict
    predicted = pd.read_csv(folder / "predictions" / "predictions.csv")
    assert len(predicted) == len(list((folder / "new_images").iterdir()))


def test_no_image_of_the_test_part_reaches_the_story_s_generator(told):
    folder, names = told
    images = ImageSet.open(folder / "sets" / "cxr")
    ill = images.take((images.splits == "train") & (images.records["label"] == "PNEUMONIA"))
    assert names["audited"].sets.train.images == len(ill)
    assert names["generator"].trained_on.images == len(ill)
