"""The command as a person meets it: help, errors, lists, phantoms, and a study end to end."""

import json
import re
import subprocess
import sys

import pytest
import yaml

from medgain.cli import main as cli
from medgain.cli.listing import KINDS
from toys import draw, toy_plan


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `medgain ARGS` in this process; return (exit code, standard output, standard error)."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["medgain", *map(str, args)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def small_plan(tmp_path):
    """A plan file with two arms over a small set."""
    plan = toy_plan(draw().save(tmp_path / "toy"))
    plan["arms"] = {"real": {}, "oversample": {"oversample": 1.0}, "aa": {"same_as": "real"}}
    plan["presets"] = {"smoke": {"fractions": [1.0]}}
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan))
    return path


def loaded_by(*args):
    """Return the standard output of `medgain ARGS` in a fresh process, and what it loaded."""
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['medgain', *{list(args)!r}]\n"
        "try: runpy.run_module('medgain', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *printed, modules = done.stdout.splitlines()
    return "\n".join(printed), set(modules.split())


def test_help_loads_nothing_heavy():
    printed, modules = loaded_by("--help")
    heavy = {"torch", "pandas", "numpy", "PIL", "cv2", "sklearn", "pydantic", "matplotlib"}
    assert not heavy & modules
    assert "study" in printed


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_prints_in_a_fresh_process_what_a_user_understands(kind):
    printed, modules = loaded_by("list", kind, "--json")
    rows = json.loads(printed)
    assert rows
    assert all(row["name"] and row["summary"] for row in rows)
    assert not re.search(r"PRODUCT|ARCHITECTURE|PROTOCOL|\brows? [A-Z]\d|\bissue\b", printed)
    if kind in ("policies", "phantoms", "metrics", "detectors", "layouts", "formats"):
        assert "torch" not in modules


def test_python_m_medgain_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "medgain", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("medgain ")


def test_version(run):
    from medgain import __version__

    assert run("--version")[1].strip() == f"medgain {__version__}"


def test_errors_name_problem_and_remedy_without_a_traceback(run, tmp_path):
    code, out, err = run("inspect", tmp_path)
    assert code == 1
    assert out == ""
    assert err.startswith("Error: ")
    assert "is not an image set" in err
    assert "→" in err
    assert "Traceback" not in err


def test_a_full_disk_or_a_forbidden_folder_is_said_plainly(run, tmp_path, monkeypatch):
    from medgain.phantoms.chest.phantom import ChestPhantom

    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device", "sets/x")

    monkeypatch.setattr(ChestPhantom, "make", refuse)
    code, _, err = run("phantom", "chest", "--out", tmp_path / "x")
    assert code == 1
    assert "No space left on device: sets/x" in err


def test_a_list_is_a_table_of_names(run):
    _, out, _ = run("list", "layouts", "--json")
    _, table, _ = run("list", "layouts")
    assert all(row["name"] in table for row in json.loads(out))


def test_an_unknown_list_suggests_the_nearest(run):
    code, _, err = run("list", "generator")
    assert code == 1
    assert "did you mean 'generators'?" in err


def test_phantom_writes_an_image_set_that_says_so(run, tmp_path):
    code, out, _ = run("phantom", "chest", "--count", 12, "--size", 32, "--out", tmp_path / "set")
    assert code == 0
    assert "12 chest phantoms" in out
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert card["origin"] == "phantom"
    code, _, err = run("phantom", "chest", "--count", 12, "--out", tmp_path / "set")
    assert code == 1
    assert "exists already" in err


def test_a_study_from_plan_to_report(run, small_plan, tmp_path):
    out_folder = tmp_path / "study"
    code, out, _ = run("study", "run", small_plan, "--out", out_folder, "--dry-run")
    assert code == 0
    assert "12 cells" in out
    assert not out_folder.exists()
    arguments = ("--out", out_folder, "--preset", "smoke", "--workers", 1)
    code, out, err = run("study", "run", small_plan, *arguments, "--set", "task.steps=4")
    assert code == 0
    assert "oversample" in out
    assert f"Report: {out_folder / 'report.html'}" in out
    assert "stages: 6/6" in err
    page = (out_folder / "report.html").read_text()
    assert "oversample" in page
    assert len(page) < 5_000_000
    assert yaml.safe_load((out_folder / "plan.yaml").read_text())["task"]["steps"] == 4
    code, _, err = run("study", "run", small_plan, *arguments)
    assert code == 1
    assert "--resume" in err
    code, out, _ = run("study", "report", out_folder, "--json")
    assert code == 0
    assert len(json.loads(out)["comparisons"]) == 2 * 5


def test_on_leak_reaches_the_plan(run, small_plan, tmp_path):
    _, out, _ = run(
        "study", "run", small_plan, "--out", tmp_path / "x", "--on-leak", "drop", "--dry-run"
    )
    assert "on_leak: drop" in out


def test_wrong_keys_are_named_on_the_command_line(run, small_plan, tmp_path):
    code, _, err = run("study", "run", small_plan, "--out", tmp_path / "x", "--set", "task.step=4")
    assert code == 1
    assert "did you mean 'steps'?" in err
