"""Atomic writes: whole, or not at all."""

import errno
import json
import math
from pathlib import Path

import numpy as np
import pytest

from medgain.runtime import files
from medgain.runtime.errors import MedgainError
from medgain.runtime.files import atomic_folder, atomic_path, read_json, write_json, write_text


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["x.txt"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "set"
    with atomic_folder(target) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(RuntimeError), atomic_folder(target, overwrite=True) as temporary:
        (temporary / "a").write_text("2")
        raise RuntimeError
    assert (target / "a").read_text() == "1"
    assert _names(tmp_path) == ["set"]


def test_overwrite_replaces_the_whole_folder(tmp_path):
    target = tmp_path / "set"
    with atomic_folder(target) as temporary:
        (temporary / "old").write_text("1")
    with pytest.raises(MedgainError, match="exists already"), atomic_folder(target):
        pass
    with atomic_folder(target, overwrite=True) as temporary:
        (temporary / "new").write_text("2")
    assert _names(target) == ["new"]
    assert _names(tmp_path) == ["set"]


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path):
    def fill(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    said = pytest.raises(MedgainError, match="disk that holds .* is full.*free some space")
    with said, atomic_folder(tmp_path / "set") as temporary:
        fill(temporary)
    assert _names(tmp_path) == []


def test_a_folder_without_permission_says_so(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    with pytest.raises(MedgainError, match="cannot be written .Permission denied.*--out"):
        write_text(tmp_path / "x", "text")


def test_written_files_can_be_read_by_others(tmp_path):
    write_text(tmp_path / "x", "text")
    assert (tmp_path / "x").stat().st_mode & 0o044


def test_json_knows_numpy_paths_and_not_finite_numbers(tmp_path):
    value = {"a": np.float32(1.5), "b": np.arange(2), "c": math.nan, "d": Path("x"), 3: math.inf}
    write_json(tmp_path / "x.json", value)
    expected = {"a": 1.5, "b": [0, 1], "c": None, "d": "x", "3": None}
    assert json.loads((tmp_path / "x.json").read_text()) == expected


def test_damaged_and_missing_json_name_the_file(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(MedgainError, match=r"x\.json is not valid JSON"):
        read_json(tmp_path / "x.json")
    with pytest.raises(MedgainError, match=r"y\.json is missing"):
        read_json(tmp_path / "y.json")
