"""`medgain import` and `medgain inspect`, as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from medgain.cli import data
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError

app = typer.Typer()
data.register(app)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for number, label in enumerate(("cat", "dog")):
        for k in range(3):
            path = tmp_path / "pictures" / label / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(number * 10 + k)
            Image.fromarray(rng.integers(0, 255, (20, 20)).astype(np.uint8)).save(path)
    return tmp_path / "pictures"


def run(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_import_ends_with_a_summary(pictures: Path, tmp_path: Path) -> None:
    text = run("import", pictures, tmp_path / "set", "--size", "16", "--positive", "cat")
    assert "6 images, 16 × 16 px, grey, 8 bit" in text
    assert "6 groups: one group per image: patient ids unknown" in text
    assert "images/s" in text
    assert ImageSet.open(tmp_path / "set").card.positive == "cat"


def test_every_option_reaches_the_importer(pictures: Path, tmp_path: Path) -> None:
    (pictures / "t.csv").write_text("f,l,g,s\ncat/0.png,x,p,train\ndog/0.png,y,q,test\n")
    run(
        "import", pictures, tmp_path / "set", "--size", "8", "--fit", "crop", "--layout", "table",
        "--table", "t.csv", "--image-column", "f", "--label-column", "l", "--group-column", "g",
        "--split-column", "s", "--colour", "rgb", "--depth", "16", "--name", "pets", "--licence",
        "CC0", "--modality", "photo", "--skip-unreadable", "--workers", "1", "--overwrite",
        "--max-megapixels", "1", "--strict-groups",
    )  # fmt: skip
    made = ImageSet.open(tmp_path / "set")
    assert made.images.shape == (2, 8, 8, 3)
    assert made.images.dtype == np.uint16
    card = made.card
    assert (card.name, card.licence, card.modality) == ("pets", "CC0", "photo")
    step = card.history[-1]
    assert (step["fit"], step["layout"], step["strict_groups"]) == ("crop", "table", True)
    assert made.records["group"].tolist() == ["p", "q"]
    assert made.splits.tolist() == ["train", "test"]


def test_inspect_prints_and_draws(pictures: Path, tmp_path: Path) -> None:
    run("import", pictures, tmp_path / "set")
    before = sorted((tmp_path / "set").iterdir())
    text = run("inspect", tmp_path / "set")
    assert "6 images" in text
    assert "leaks between its own parts: none found" in text
    assert (tmp_path / "set.contact-sheet.png").read_bytes().startswith(b"\x89PNG")
    assert sorted((tmp_path / "set").iterdir()) == before  # a set is never changed in place


def test_inspect_as_json(pictures: Path, tmp_path: Path) -> None:
    run("import", pictures, tmp_path / "set")
    sheet = tmp_path / "elsewhere.png"
    found = json.loads(run("inspect", tmp_path / "set", "--json", "--sheet", sheet, "--mirrored"))
    assert found["classes"] == {"cat": {"": 3}, "dog": {"": 3}}
    assert found["contact_sheet"] == str(sheet)
    assert sheet.is_file()


def test_inspecting_a_folder_of_images_names_the_import_command(pictures: Path) -> None:
    with pytest.raises(DataError) as caught:
        run("inspect", pictures)
    assert f"medgain import {pictures}" in caught.value.remedy


def test_the_commands_load_nothing_heavy() -> None:
    code = (
        "import sys, typer; from medgain.cli import data; data.register(typer.Typer());"
        "bad = {'torch', 'pandas', 'numpy', 'PIL', 'cv2'} & set(sys.modules);"
        "sys.exit(f'loaded {bad}' if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
