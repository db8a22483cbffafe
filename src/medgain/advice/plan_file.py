"""Write the advised study as a plan that `medgain study run` takes."""

from __future__ import annotations

from pathlib import Path

import yaml

from medgain.advice.advice import Advice
from medgain.runtime.errors import ConfigError, DataError
from medgain.runtime.files import write_text
from medgain.runtime.text import rough_duration
from medgain.study.plan.loading import load_plan


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise `ConfigError` where a file would be replaced without being asked to."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", "name a file, such as plan.yaml")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists already", "pass --overwrite, or choose another --out")


def write_plan(advice: Advice, path: Path, *, overwrite: bool = False) -> Path:
    """Write the plan, checked against the plan's schema, and return its path.

    Raises:
        DataError: no study can run on the set.
        ConfigError: the file exists.
    """
    if advice.suggestion is None:
        raise DataError(f"no plan was written: {advice.problem}", advice.remedy)
    check_free(path, overwrite=overwrite)
    plan = advice.suggestion.plan()
    load_plan(plan)
    written = yaml.safe_dump(plan, sort_keys=False, allow_unicode=True, width=100)
    write_text(path, "".join(f"# {line}\n" for line in _remarks(advice, path)) + written)
    load_plan(path)
    return path


def _remarks(advice: Advice, path: Path) -> list[str]:
    one = advice.suggestion
    assert one is not None
    lines = [
        f"Written by medgain advise for {advice.path}: a first study, to be changed as you like.",
        "",
        f"  medgain study run {path.name} --out studies/{one.plan()['name']}",
        "",
    ]
    if advice.cost is not None and advice.cost.seconds is not None:
        lines.append(f"About {rough_duration(advice.cost.seconds)} where it was written.")
    # a path or a reason may hold a line break; a comment may not
    return [" ".join(line.split()) if not line.startswith("  ") else line for line in lines]
