"""The documentation names every command, option, key and registered component."""

from __future__ import annotations

import math
import re

import click
import pytest
import typer

from documentation import ROOT, page, table_row, undocumented
from medgain.augment import POLICIES, PolicyConfig
from medgain.cli.listing import KINDS
from medgain.cli.main import app
from medgain.generators.base import GENERATORS, Budget
from medgain.importing.layouts import LAYOUTS
from medgain.metrics.base import METRICS
from medgain.phantoms import PHANTOMS
from medgain.study.executors.base import EXECUTORS
from medgain.study.plan import plan
from medgain.study.plan import synthetic as plan_synthetic
from medgain.tasks.base import TASKS


def commands() -> list[tuple[str, click.Command]]:
    def walk(command, name):
        if isinstance(command, click.Group) or hasattr(command, "commands"):
            for key, below in command.commands.items():
                yield from walk(below, f"{name} {key}")
        else:
            yield name, command

    return list(walk(typer.main.get_command(app), "medgain"))


# the file that a reader of add-a-component.md writes
EXAMPLE = "src/medgain/metrics/classification/threat_score.py"


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: str(value)[:40])
def test_every_command_and_option_is_documented(name, command):
    text = page("cli")
    assert f"`{name} " in text
    start = text.index(f"## `{name} ")
    section = text[start : text.find("\n## ", start + 1) if "\n## " in text[start + 1 :] else None]
    for parameter in command.get_params(typer.Context(command)):
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert re.search(rf"`{option}[` ]", section), f"{name} {option} is not in cli.md"


@pytest.mark.parametrize(
    ("registry", "where"),
    [
        (GENERATORS, "generators"),
        (POLICIES, "policies"),
        (PHANTOMS, "phantoms"),
        (METRICS, "metrics"),
        (TASKS, "tasks"),
        (LAYOUTS, "import"),
        (EXECUTORS, "cli"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_every_registered_name_is_documented_with_a_summary(registry, where):
    missing = undocumented(registry, page(where))
    assert missing == [], f"{registry.kind}: {missing} are not in {where}.md"
    assert all(entry.summary for entry in registry)


@pytest.mark.parametrize("name", METRICS.names())
def test_the_table_of_metrics_says_what_the_registry_says(name):
    metric, cells = METRICS.get(name), table_row(name, page("metrics"))
    assert ("higher" if metric.higher_is_better else "lower") in cells
    bound = {math.inf: "∞", -math.inf: "−∞"}
    low, high = (bound.get(end, f"{end:g}") for end in (metric.low, metric.high))
    ranges = [f"{low}–{high}", f"{low}–diagonal", f"{low}–1 ({low}–{high})"]
    assert any(one in cells for one in ranges), f"{name}: {ranges} are not among {cells}"
    if metric.task == "classification":
        assert ("yes" if metric.needs_threshold else "no") in cells


def test_every_listable_kind_is_in_the_command_reference():
    for kind in KINDS:
        assert kind in page("cli")


@pytest.mark.parametrize(
    ("model", "where"),
    [
        (plan.PlanFile, "plan"),
        (plan.PhantomSource, "plan"),
        (plan.Official, "plan"),
        (plan.CrossValidation, "plan"),
        (plan.HoldOut, "plan"),
        (plan.GeneratorSpec, "plan"),
        (plan.Arm, "plan"),
        (plan.Synthetic, "plan"),
        (plan_synthetic.Filter, "plan"),
        (plan.RuntimeSpec, "plan"),
        (PolicyConfig, "policies"),
        *[(entry.value.Config, "tasks") for entry in TASKS],
        *[(entry.value.Config, "generators") for entry in GENERATORS],
        *[(entry.value.Options, "phantoms") for entry in PHANTOMS],
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_configuration_key_is_documented(model, where):
    text = page(where)
    for name, field in model.model_fields.items():
        key = field.alias or name
        documented = f"`{key}`" in text or f"`{key}." in text or f".{key}`" in text
        assert documented, f"{model.__name__}.{key} is not in {where}.md"


def test_budget_keys_are_documented():
    for key in Budget.model_fields:
        assert f"`budget.{key}`" in page("plan")


def test_links_between_pages_lead_somewhere():
    for source in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", source.read_text("utf-8")):
            if "://" not in target:
                assert (source.parent / target).exists(), f"{source.name} links to {target}"


def test_every_page_is_linked_from_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for path in ROOT.glob("docs/*/*.md"):
        assert f"({path.relative_to(ROOT / 'docs')})" in index, f"{path.name} is not in the index"


def test_committed_text_names_no_machine():
    forbidden = re.compile(r"/work/|/tmp/|/root/|pypi\.org|files\.pythonhosted", re.IGNORECASE)
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/*.yaml")]:
        found = forbidden.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.name} names {found and found.group()}"


@pytest.mark.parametrize(
    ("name", "least"), [("explanation/architecture", 40), ("how-to/add-a-component", 15)]
)
def test_every_path_that_a_page_names_exists(name, least):
    """A page that sends a newcomer to a room that has moved is worse than none."""
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:[a-z_0-9*]+|\{[a-z_0-9,]+\})(?:/[a-z_0-9.*]+|/\{[a-z_0-9,]+\})*/?)`", text
    )
    source = ROOT / "src" / "medgain"
    rooms = {path.name for path in source.rglob("*") if path.is_dir()}
    checked = 0
    for path in {path for path in named if "/" in path and path != EXAMPLE}:
        before, choices, after = re.fullmatch(r"([^{]*)(?:\{([^}]*)\})?(.*)", path).groups()
        for choice in (choices or "").split(","):
            whole = f"{before}{choice}{after}".rstrip("/")
            exists = any(source.glob(whole)) or whole in rooms or (ROOT / whole).exists()
            assert exists, f"{name}.md names {whole}"
            checked += 1
    assert checked >= least


def test_every_room_has_a_line_in_the_architecture_page():
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    for room in (ROOT / "src" / "medgain").iterdir():
        if (room / "__init__.py").exists():
            assert f"`{room.name}/`" in text, f"architecture.md does not name {room.name}/"
