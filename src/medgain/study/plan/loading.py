"""Read a plan from YAML, lay presets and overrides over it, and check every name in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from medgain.augment import resolve_policy
from medgain.generators.base import GENERATORS
from medgain.metrics.base import METRICS, find_metric
from medgain.runtime.errors import ConfigError, suggest
from medgain.runtime.overrides import merge
from medgain.runtime.settings import read_settings
from medgain.study.plan.plan import Arm, Plan
from medgain.study.plan.synthetic import Synthetic
from medgain.study.synthetic.routes import kind_of, translators


def load_plan(
    source: Path | str | dict[str, Any],
    *,
    preset: str | None = None,
    overrides: dict[str, Any] | None = None,
) -> Plan:
    """Read a plan, lay a preset and then overrides over it, and check it as a whole.

    Raises:
        ConfigError: the file, a key, a name or a value is wrong; says which and what to do.
    """
    where = "plan" if isinstance(source, dict) else f"plan {source}"
    data = dict(source) if isinstance(source, dict) else _read_yaml(Path(source))
    presets = data.pop("presets", None) or {}
    if preset is not None:
        if preset not in presets:
            hint = suggest(preset, presets) if presets else "it has no presets"
            raise ConfigError(f"{where} has no preset '{preset}'", hint)
        data = merge(data, presets[preset])
    data = merge(data, overrides or {})
    plan = read_settings(Plan, data, where)
    _check_names(plan, where)
    return plan


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"plan {path} does not exist", "see recipes/ for examples") from None
    except (yaml.YAMLError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ConfigError(f"plan {path} is not valid YAML ({error})") from None
    if not isinstance(data, dict):
        raise ConfigError(f"plan {path} holds no keys", "see recipes/ for examples")
    return data


def _check_names(plan: Plan, where: str) -> None:
    """Check what pydantic can't: that names refer to something that exists."""
    _known(plan.reference, plan.arms, f"{where}: reference")
    for name, arm in plan.arms.items():
        at = f"{where}: arms.{name}"
        if "__" in name or "/" in name:
            raise ConfigError(f"{at}: arm names can't hold '__' or '/'", "rename the arm")
        if arm.reference:
            _known(arm.reference, plan.arms, f"{at}.reference")
        if arm.same_as:
            _known(arm.same_as, plan.arms, f"{at}.same_as")
            others = {"policy", "synthetic", "oversample", "task"} & arm.model_fields_set
            if others or plan.arms[arm.same_as].same_as:
                raise ConfigError(f"{at}: same_as names a plain arm and stands alone")
        if arm.synthetic:
            _known(arm.synthetic.generator, plan.generators, f"{at}.synthetic.generator")
            _check_filter(plan, arm.synthetic, f"{at}.synthetic")
        outside = sorted(set(arm.fractions or []) - set(plan.fractions))
        if outside:
            raise ConfigError(f"{at}.fractions: {outside} are not among {plan.fractions}")
        _check_policy(arm, at)
        _check_task(plan, name, at)
    for name, spec in plan.generators.items():
        model = spec.model or name
        if model not in GENERATORS:
            hint = suggest(model, GENERATORS.names())
            raise ConfigError(f"{where}: generators.{name}: unknown generator '{model}'", hint)
        read_settings(
            GENERATORS.get(model).Config, spec.config, f"{where}: generators.{name}.config"
        )
    for name, arm in plan.arms.items():
        if arm.synthetic:
            _check_translates(plan, arm.synthetic, f"{where}: arms.{name}.synthetic")
    kind = plan.make_task().config.kind
    known = {entry.name: None for entry in METRICS if entry.value.task == kind}
    for name in plan.metrics:
        _known(name.partition("[")[0], known, f"{where}: metric")
        if "[" in name and not find_metric(name).by_class:
            raise ConfigError(f"{where}: metric '{name}' is not measured by class")
        if "[" not in name and not find_metric(name).overall:
            raise ConfigError(
                f"{where}: metric '{name}' is that of one class", f"write {name}[CLASS]"
            )
    if "test" in plan.external:
        raise ConfigError(f"{where}: external: 'test' is the name of the set's own test part")


def _check_filter(plan: Plan, spec: Synthetic, at: str) -> None:
    if spec.filter and spec.filter.by == "classifier-agreement" and plan.task_kind.needs_masks:
        raise ConfigError(
            f"{at}.filter: classifier-agreement asks for an image's class, and"
            f" {plan.make_task().config.kind} has none",
            "use filter: {by: realism}",
        )


def _check_translates(plan: Plan, spec: Synthetic, at: str) -> None:
    """`from` and `to` are for generators that translate; others are asked for classes by amount."""
    for key, value in (("from", spec.source), ("to", spec.target)):
        if value is not None and kind_of(plan, spec.generator).condition != "image":
            raise ConfigError(
                f"{at}.{key}: '{spec.generator}' does not translate images",
                f"leave it out (amounts by class go into ratio or count), or use one of"
                f" {', '.join(translators())}",
            )


def _check_policy(arm: Arm, at: str) -> None:
    if arm.policy is not None:
        try:
            resolve_policy(arm.policy)
        except ConfigError as error:
            raise ConfigError(f"{at}.policy: {error.problem}", error.remedy) from None


def _check_task(plan: Plan, arm: str, at: str) -> None:
    """Arms may differ in their model; steps, batches and schedules are equal terms."""
    allowed = plan.task_kind.ARM_KEYS
    for key in plan.recipe(arm).task:
        if key not in allowed:
            raise ConfigError(
                f"{at}.task: an arm can't have its own '{key}'",
                f"arms are compared on equal terms and may differ in {', '.join(sorted(allowed))}",
            )
    plan.make_task(arm)


def _known(name: str, names: dict[str, Any], where: str) -> None:
    if name not in names:
        raise ConfigError(f"{where}: unknown name '{name}'", suggest(name, names))
