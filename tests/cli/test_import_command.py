"""`medgain import` of masks and volumes, as a user meets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from medgain.cli import data
from medgain.imageset.imageset import ImageSet
from medgain.importing.options import ImportOptions
from medgain.importing.run import import_images
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.options import declared_options
from volume_files import write_nifti

app = typer.Typer()
data.register(app)


def run(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def case(tmp_path: Path) -> Path:
    hu = np.random.default_rng(0).integers(-300, 500, (4, 16, 16)).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[1:3, 4:9, 4:9], labels[2, 5:7, 5:7] = 1, 2
    write_nifti(tmp_path / "kits/case_00000/imaging.nii.gz", hu, "IPL")
    write_nifti(tmp_path / "kits/case_00000/segmentation.nii.gz", labels, "IPL")
    return tmp_path / "kits"


def test_volumes_with_a_window_below_zero(case: Path, tmp_path: Path) -> None:
    printed = run(
        "import", case, tmp_path / "set", "--layout", "nifti", "--window", "-160,240",
        "--slices", "foreground", "--slice-every", "2",
    )  # fmt: skip
    assert "1 images, 16 × 16 px, grey, 8 bit" in printed
    assert "kidney in 1, tumour in 0" in printed
    made = ImageSet.open(tmp_path / "set")
    assert made.card.history[-1]["window"] == [-160, 240]
    assert made.records["image_id"].tolist() == ["case_00000_0002"]


def test_names_and_values_of_masks(tmp_path: Path) -> None:
    for folder, pixels in (("images", 9), ("masks", 128)):
        (tmp_path / "in" / folder).mkdir(parents=True)
        values = np.full((8, 8), pixels, np.uint8)
        values[0] = 0
        Image.fromarray(values).save(tmp_path / "in" / folder / "a.png")
    words = ["import", tmp_path / "in", tmp_path / "set", "--images", "images", "--masks", "masks"]
    printed = run(*words, "--mask-classes", "left, right", "--mask-values", "0,128,255")
    assert "left in 1, right in 0" in printed
    assert ImageSet.open(tmp_path / "set").card.mask_classes == ["left", "right"]
    with pytest.raises(ConfigError, match="no whole numbers"):
        run(*words, "--mask-values", "0,white")
    with pytest.raises(DataError, match="neither 0 and 255"):
        run(*words, "--overwrite")


def test_the_default_window_is_said(case: Path, tmp_path: Path) -> None:
    printed = " ".join(run("import", case, tmp_path / "set").split())
    assert "window 0 to 400 HU, the default for CT in 8 bit (abdomen)" in printed
    assert "--depth 16" in printed


def test_every_option_reaches_the_card_from_the_command_and_from_python(
    case: Path, tmp_path: Path
) -> None:
    run("import", case, tmp_path / "a/set", "--window", "-160,240", "--slices", "foreground",
        "--size", "8", "--fit", "crop", "--mask-classes", "kidney,tumour")  # fmt: skip
    options = ImportOptions(slices="foreground", size_px=8, fit="crop")
    made = import_images(
        case, tmp_path / "b/set", options, window=(-160, 240), mask_classes=["kidney", "tumour"]
    )
    steps = [ImageSet.open(tmp_path / name / "set").card.history[-1] for name in "ab"]
    assert steps[0] == steps[1]
    assert made.fingerprint() == ImageSet.open(tmp_path / "a/set").fingerprint()
    written = {declared.name for declared in declared_options(ImportOptions)}
    assert written - set(steps[0]) == {"workers", "overwrite"}
    assert steps[0]["mask_classes"] == ["kidney", "tumour"]
    assert steps[0]["layout"] == "nifti"
