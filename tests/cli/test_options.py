"""One list of options: flags, keywords, checks and what is written down follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from medgain.cli.options import with_options
from medgain.runtime.errors import ConfigError
from medgain.runtime.options import Option, Options, comma_separated


@dataclass(frozen=True)
class ScanOptions(Options):
    size_px: Annotated[int | None, Option("Pixels.", flag="--size", min=1)] = None
    way: Annotated[Literal["fast", "slow"], Option("fast or slow.")] = "fast"
    names: Annotated[tuple[str, ...], Option("A,B.", parse=comma_separated)] = ()
    table: Annotated[Path | None, Option("A table.")] = None
    dry: Annotated[bool, Option("Do nothing.", recorded=False)] = False

    def check(self) -> None:
        if self.size_px == 13:
            raise ConfigError("--size 13 is bad luck", "choose 14")


seen: list[tuple[Path, ScanOptions, str]] = []
app = typer.Typer()


@app.command()
@with_options(ScanOptions)
def scan(
    source: Annotated[Path, typer.Argument(help="What to scan.")],
    options: ScanOptions,
    device: Annotated[str, typer.Option(help="Where.")] = "cpu",
) -> None:
    """Scan a source."""
    seen.append((source, options, device))


def run(*words: str):
    return CliRunner().invoke(app, [*words], catch_exceptions=False)


def test_each_option_is_a_flag_with_its_help_default_and_type() -> None:
    printed = run("--help").stdout
    for text in ("Scan a source.", "--size", "Pixels.", "--way", "fast", "--names", "--dry"):
        assert text in printed
    assert run("in", "--size", "8", "--way", "slow", "--names", "a, b", "--dry").exit_code == 0
    assert seen.pop() == (Path("in"), ScanOptions(8, "slow", ("a", "b"), dry=True), "cpu")
    assert run("in", "--table", "t.csv", "--device", "cuda").exit_code == 0
    assert seen.pop() == (Path("in"), ScanOptions(table=Path("t.csv")), "cuda")
    assert run("in", "--size", "0").exit_code == 2
    with pytest.raises(ConfigError, match="--size 13"):
        run("in", "--size", "13")


def test_python_gives_the_same_values_in_the_same_types() -> None:
    options = ScanOptions().changed({"names": ["a", "b"], "table": "t.csv"})
    assert options == ScanOptions(names=("a", "b"), table=Path("t.csv"))
    with pytest.raises(ConfigError, match="--way 'slowly' is not known"):
        options.changed({"way": "slowly"})
    with pytest.raises(TypeError, match=r"no option 'sise_px'.*did you mean 'size_px'"):
        options.changed({"sise_px": 3})


def test_what_is_written_down_is_json_and_leaves_out_what_changes_no_result() -> None:
    options = ScanOptions(names=("a", "b"), table=Path("t.csv"), dry=True)
    assert options.recorded() == {
        "size_px": None, "way": "fast", "names": ["a", "b"], "table": "t.csv",
    }  # fmt: skip
