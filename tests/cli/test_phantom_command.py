"""`medgain phantom`, as a user meets it."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from medgain.cli import phantom
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError

app = typer.Typer()
phantom.register(app)


@app.callback()
def main() -> None:
    """Keep `phantom` a command of its own."""


def run(*words: object) -> str:
    arguments = ["phantom", *(str(word) for word in words)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_kidneys_with_masks(tmp_path):
    said = run("kidney", "--count", 40, "--size", 32, "--out", tmp_path / "set")
    made = ImageSet.open(tmp_path / "set")
    assert made.images.shape == (40, 32, 32, 1) and made.masks is not None
    kidney, tumour = ((made.masks == code).any(axis=(1, 2)).sum() for code in (1, 2))
    assert f"40 kidney phantoms of {made.records.group.nunique()} made-up patients" in said
    assert f"(kidney in {kidney}, tumour in {tumour})" in said


def test_lungs_in_sixteen_bits(tmp_path):
    run("lung", "--count", 5, "--size", 32, "--set", "depth=16", "--out", tmp_path / "set")
    assert ImageSet.open(tmp_path / "set").images.dtype == "uint16"


def test_chests_are_counted_by_class(tmp_path):
    said = run("chest", "--count", 10, "--size", 16, "--out", tmp_path / "set")
    assert "(5 normal, 5 pneumonia)" in said


def test_an_unknown_option_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="unknown key 'dept' .*'depth'"):
        run("kidney", "--set", "dept=16", "--out", tmp_path / "set")
    assert not (tmp_path / "set").exists()
