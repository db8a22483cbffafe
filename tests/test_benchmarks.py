"""Benchmarks live outside the package: a name that moved must not be found out by who runs one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_every_benchmark_finds_what_it_imports(path, monkeypatch):
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    assert callable(module.main)


@pytest.mark.parametrize(
    ("name", "arguments", "shows"),
    [
        ("clean_detectors", ["--size", "48", "--count", "12"], "| hairs |"),
        ("audit_scale", ["--images", "24", "--holdout", "24", "--size", "32"], "verdict "),
        (
            "pix2pix_training",
            ["--size", "16", "--width", "4", "--turns", "1", "--steps", "1", "--threads", "1"],
            "medgain's loop",
        ),
        (
            "loop_optimisations",
            ["--size", "16", "--batch", "4", "--turns", "1", "--set", "width=8"],
            "| medgain's loop |",
        ),
    ],
)
def test_benchmarks_of_moved_parts_run(name, arguments, shows):
    (path,) = [path for path in BENCHMARKS if path.stem == name]
    command = [sys.executable, str(path), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert shows in ended.stdout
