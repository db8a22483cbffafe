"""`medgain release`, as a user types it."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from medgain.cli.release import register
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.records import write_record
from release_toys import passing, synthetic


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = synthetic()
    images.save("set")
    (tmp_path / "audit").mkdir()
    audit = passing(images, flagged=[images.records["image_id"][0]])
    write_record(tmp_path / "audit" / "audit.json", audit)
    return tmp_path


def call(*words, error=None):
    app = typer.Typer()
    register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["release", *words])
    if error is not None:
        assert isinstance(result.exception, error), result.output
        return str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("words", [("set",), ("make", "set")])
def test_release_then_verify(work, words):
    made = call(*words, "--audit", "audit", "--out", "out", "--format", "dicom")
    assert made.exit_code == 0
    assert "5 synthetic images (dicom, 1 flagged left out), CC-BY-4.0" in made.output
    checked = call("verify", "out")
    assert checked.exit_code == 0 and "all as released" in checked.output
    assert json.loads(call("verify", "out", "--json").output)["ok"] is True


def test_options_may_stand_first(work):
    assert call("--audit", "audit", "--out", "out", "set").exit_code == 0
    assert (work / "out" / "README.md").exists()


def test_verify_names_what_is_wrong_and_fails(work):
    call("set", "--audit", "audit", "--out", "out")
    image = work / "out" / "images" / "image-000001.png"
    image.write_bytes(image.read_bytes() + b"x")
    checked = call("verify", "out")
    assert checked.exit_code == 1
    assert "images/image-000001.png: changed (its checksum differs)" in checked.output
    found = json.loads(call("verify", "out", "--json").stdout)
    assert not found["ok"] and any("image-000001.png" in text for text in found["problems"])


def test_without_audit_it_is_refused_and_the_risk_is_shown(work):
    assert "there is no audit" in call("set", "--out", "out", error=MedgainError)
    assert not (work / "out").exists()
    made = call("set", "--out", "out", "--accept-risk", "trained on phantoms")
    assert "RELEASED AT YOUR OWN RISK, although there is no audit" in made.output


def test_a_missing_audit_is_named(work):
    message = call("set", "--audit", "nowhere", "--out", "out", error=DataError)
    assert message.startswith("nowhere is missing")


def test_help_names_both_ways(work):
    text = call("--help").output
    assert "verify" in text and "make" in text
    assert "--accept-risk" in call("make", "--help").output
    assert call().exit_code != 1
