"""Records are written whole, read with their types, and refused by file, key and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.records import Number, Record, read_record, write_record


class Part(Record):
    name: str
    value: Number = None


class Whole(Record):
    format: Literal[1] = 1
    parts: list[Part]


def test_a_record_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    whole = Whole(parts=[Part(name="a", value=1 / 3), Part(name="b", value=float("nan"))])
    write_record(tmp_path / "whole.json", whole)
    assert read_record(tmp_path / "whole.json", Whole) == whole
    written = json.loads((tmp_path / "whole.json").read_text())
    assert written == {
        "format": 1,
        "parts": [{"name": "a", "value": 1 / 3}, {"name": "b", "value": None}],
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_undefined(value: float) -> None:
    assert Part(name="a", value=value).value is None


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Part(name="a").name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"parts": []}', "no key 'format'"),
        ('{"format": 2, "parts": []}', "format: "),
        ('{"format": 1, "parts": [{"name": "a"}, {"value": 2}]}', r"parts\.1\.name"),
        ('{"format": 1, "parts": [], "extra": 0}', "extra: "),
        ("[]", "the whole"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "whole.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"whole\.json .*{named}.*make it again"):
        read_record(path, Whole, "make it again")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MedgainError, match=r"whole\.json is missing"):
        read_record(tmp_path / "whole.json", Whole)
