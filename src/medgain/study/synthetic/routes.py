"""Which classes an arm's synthetic images are of, and what each is made from.

Generators that start from noise or masks learn one class at a time. Those that know several
classes (translators, and generators told the class) are trained once for all that they need, and
are asked for a class when images are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from medgain.generators.base import GENERATORS, Generator
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError, suggest
from medgain.study.plan.plan import Plan
from medgain.study.plan.synthetic import Synthetic


@dataclass(frozen=True)
class Making:
    """What an arm's generator learns from, and what it is asked for.

    Attributes:
        learned: classes that are learned at once; empty where each class has a generator.
        routes: for each class of the arm's synthetic images the classes that are translated to
            it; empty for generators that translate nothing.
    """

    learned: tuple[str, ...]
    routes: dict[str, tuple[str, ...]]

    @property
    def makes(self) -> list[str]:
        """The classes of the arm's synthetic images."""
        return list(self.routes)


def kind_of(plan: Plan, generator: str) -> type[Generator[Any]]:
    """Return the registered kind behind an entry of the plan's generators."""
    return GENERATORS.get(plan.generators[generator].model or generator)


def translators() -> list[str]:
    """Return the names of the generators that translate images."""
    return [entry.name for entry in GENERATORS if entry.value.condition == "image"]


def making(plan: Plan, arm: str, images: ImageSet) -> Making | None:
    """Return how the synthetic images of `arm` are made; None where it adds none.

    Args:
        images: the study's data set, for its classes.

    Raises:
        ConfigError: the classes that the arm names don't go together, or are unknown.
    """
    spec = plan.recipe(arm).synthetic
    if spec is None:
        return None
    kind, classes = kind_of(plan, spec.generator), images.classes or [""]
    where = f"arms.{arm}.synthetic"
    if kind.condition == "image":
        _check_classes(plan, spec, where, images)
        if kind.learns == "two classes":
            return _between_two(plan, spec, where, images)
        made = [spec.target] if spec.target else [name for name in classes if name != spec.source]
        return Making(tuple(classes), {label: _others(label, spec, classes) for label in made})
    together = kind.learns == "all classes" and images.classes
    return Making(tuple(classes) if together else (), dict.fromkeys(classes, ()))


def settings_for_classes(
    plan: Plan, generator: str, learned: Sequence[str], images: ImageSet
) -> dict[str, Any]:
    """Return the settings that tell a generator which of several classes to learn.

    They don't depend on the arms, so that an arm in the other direction shares the generator.
    """
    if not learned:
        return {}
    settings, kind = plan.generators[generator].config, kind_of(plan, generator)
    return kind.settings_for_classes(settings, learned, images.card.positive)


def routes_used(
    plan: Plan, generator: str, learned: Iterable[str], fraction: float, images: ImageSet
) -> dict[str, tuple[str, ...]]:
    """Return what all arms at a fraction ask of a generator that learned several classes."""
    used: dict[str, set[str]] = {}
    for arm in plan.arms:
        spec, found = plan.recipe(arm).synthetic, making(plan, arm, images)
        if spec is None or found is None or fraction not in plan.fractions_of(arm):
            continue
        if spec.generator == generator and set(found.learned) == set(learned):
            for label, sources in found.routes.items():
                if amount_of(spec, label):
                    used.setdefault(label, set()).update(sources)
    return {
        label: tuple(name for name in images.classes if name in used[label])
        for label in images.classes
        if label in used
    }


def amount_of(spec: Synthetic, label: str) -> float:
    """Return the ratio or the count that `spec` asks for of a class."""
    amount = spec.ratio if spec.count is None else spec.count
    found = amount.get(label, 0.0) if isinstance(amount, dict) else amount
    return found if isinstance(found, (int, float)) else 0.0


def _others(label: str, spec: Synthetic, classes: Sequence[str]) -> tuple[str, ...]:
    return (spec.source,) if spec.source else tuple(name for name in classes if name != label)


def _check_classes(plan: Plan, spec: Synthetic, where: str, images: ImageSet) -> None:
    source, target = _named_pair(plan, spec)
    named = {
        f"{where}.from": spec.source,
        f"{where}.to": spec.target,
        f"generators.{spec.generator}.config.source": source,
        f"generators.{spec.generator}.config.target": target,
    }
    if len(images.classes) < 2:
        raise ConfigError(
            f"{where}: '{spec.generator}' translates between classes, and"
            f" '{images.card.name}' has {images.classes or 'none'}",
            "use a generator that starts from noise",
        )
    if source is not None and source == target:
        raise ConfigError(
            f"generators.{spec.generator}.config: source and target are both '{source}'",
            "name two classes",
        )
    for key, name in named.items():
        if name is not None and name not in images.classes:
            raise ConfigError(
                f"{key} names '{name}', and the classes are {images.classes}",
                suggest(str(name), images.classes),
            )


def _between_two(plan: Plan, spec: Synthetic, where: str, images: ImageSet) -> Making:
    """Return the making by a translator that knows two classes.

    They are those that the arm names, else those of the generator's settings, else the only two.
    Named ones are translated in one direction, otherwise each is made from the other.
    """
    configured = _named_pair(plan, spec)
    set_ = [name for name in configured if name is not None]
    asked = [name for name in (spec.source, spec.target) if name is not None]
    pair = set(asked) | (set(set_) if len(set(asked) | set(set_)) <= 2 else set())
    if len(pair) < 2 and len(images.classes) == 2:
        pair = set(images.classes)
    if len(pair) != 2:
        raise ConfigError(
            f"{where}: '{spec.generator}' translates one class into another, and"
            f" '{images.card.name}' has {images.classes}",
            f"name two of them: {where}.from and {where}.to",
        )
    if not set(set_) <= pair:
        raise ConfigError(
            f"{where} asks for {' and '.join(sorted(pair))}, and"
            f" generators.{spec.generator}.config names {' and '.join(set_)}",
            "name the classes in one place, or give the arm a generator of its own",
        )
    learned = tuple(name for name in images.classes if name in pair)
    source, target = (spec.source, spec.target) if asked else configured
    if source is None and target is None:
        return Making(learned, {label: tuple(pair - {label}) for label in learned})
    target = target if target is not None else next(name for name in learned if name != source)
    return Making(learned, {target: tuple(pair - {target})})


def _named_pair(plan: Plan, spec: Synthetic) -> tuple[str | None, str | None]:
    """Return the classes that the generator's own settings name, from and to."""
    return kind_of(plan, spec.generator).named_pair(plan.generators[spec.generator].config)
