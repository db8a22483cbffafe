"""Whether a plan and its data suit one another: what can be known before anything is trained."""

from __future__ import annotations

from medgain.generators.base import GENERATORS
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import ConfigError, suggest
from medgain.study.plan.plan import Plan
from medgain.study.synthetic.routes import Making, amount_of, kind_of, making


def check_suits(plan: Plan, images: ImageSet, external: dict[str, ImageSet]) -> None:
    """Check that `images` can give what `plan` asks for, and that the external sets are alike.

    Raises:
        ConfigError: says what is asked for, what there is, and what to do.
        MedgainError: a generator that an arm uses needs a package that is not installed.
    """
    _check_models(plan, images)
    _check_generators(plan, images)
    _check_class_names(plan, images)
    for name, part in external.items():
        theirs, ours = _shape(part), _shape(images)
        if theirs != ours:
            raise ConfigError(
                f"external set '{name}' ({theirs}) does not match the data set ({ours})",
                "import it with the same --size, colour and class names",
            )


def _check_models(plan: Plan, images: ImageSet) -> None:
    """Check the task of every arm against the set, each different one once."""
    seen: list[object] = []
    for arm in plan.arms:
        task = plan.make_task(arm)
        if task.config not in seen:
            seen.append(task.config)
            try:
                task.check(images)
            except ConfigError as error:
                where = f"arms.{arm}: " if plan.recipe(arm).task else ""
                raise ConfigError(f"{where}{error.problem}", error.remedy) from None


def _shape(images: ImageSet) -> str:
    height, width = images.size_px
    words = f"{height} × {width} × {images.channels}, classes {images.classes}"
    return words + (f", masks of {images.card.mask_classes}" if images.masks is not None else "")


def _check_class_names(plan: Plan, images: ImageSet) -> None:
    """Raise `ConfigError` where a metric or an arm names a class that the set has not."""
    known = images.card.mask_classes if plan.task_kind.needs_masks else images.classes
    for metric in plan.metrics:
        name = metric.partition("[")[2].removesuffix("]")
        if name and name not in known:
            raise ConfigError(f"metric '{metric}' names an unknown class", suggest(name, known))
    for label in plan.class_fractions:
        if label not in images.classes:
            hint = suggest(label, images.classes) if images.classes else "the set has no classes"
            raise ConfigError(f"class_fractions names an unknown class '{label}'", hint)
    for arm, spec in plan.arms.items():
        _check_copies(arm, spec.oversample, images)
        amount = spec.synthetic and (spec.synthetic.ratio or spec.synthetic.count)
        unknown = sorted(set(amount) - set(images.classes)) if isinstance(amount, dict) else []
        if unknown:
            raise ConfigError(
                f"arms.{arm}.synthetic names {unknown}", f"the classes are {images.classes}"
            )
        made = making(plan, arm, images)
        left = sorted(set(amount) - set(made.makes)) if made and isinstance(amount, dict) else []
        if left:
            raise ConfigError(
                f"arms.{arm}.synthetic wants images of {left}, and makes {made and made.makes}",
                "name in ratio or count only what is translated to, or change from and to",
            )
        if made:
            _check_pretraining(plan, arm, made, images)


def _check_copies(arm: str, oversample: object, images: ImageSet) -> None:
    """Raise `ConfigError` where an arm wants copies of classes that the set has not."""
    where = f"arms.{arm}.oversample"
    unknown = sorted(set(oversample) - set(images.classes)) if isinstance(oversample, dict) else []
    if unknown:
        raise ConfigError(f"{where} names {unknown}", f"the classes are {images.classes}")
    if oversample == "balanced" and not images.classes:
        raise ConfigError(f"{where}: the set has no classes to balance", "give a number")


def _check_pretraining(plan: Plan, arm: str, made: Making, images: ImageSet) -> None:
    """Raise `ConfigError` where a classifier would be pretrained on one class alone."""
    spec = plan.recipe(arm).synthetic
    if spec is None or spec.use != "pretrain" or plan.task_kind.needs_masks:
        return
    classes = [label for label in made.makes if amount_of(spec, label) > 0]
    if len(classes) < 2 <= len(images.classes):
        raise ConfigError(
            f"arms.{arm}.synthetic: pretraining needs images of two classes, and these are of"
            f" {classes}",
            "use: mix, or leave out what names one class (from, to, ratio or count by class)",
        )


def _check_generators(plan: Plan, images: ImageSet) -> None:
    """Raise where an arm's generator lacks a package, or can't give what task or set need."""
    for arm in plan.arms:
        spec = plan.recipe(arm).synthetic
        if spec is None:
            continue
        kind = kind_of(plan, spec.generator)
        kind.check_installed()
        if plan.task_kind.needs_masks and not kind.makes_masks:
            makers = [entry.name for entry in GENERATORS if entry.value.makes_masks]
            raise ConfigError(
                f"arms.{arm}.synthetic: '{spec.generator}' makes images without masks, and"
                f" {plan.make_task().config.kind} learns from masks",
                f"generators that make both: {', '.join(makers)}",
            )
        if kind.condition == "mask" and images.masks is None:
            raise ConfigError(
                f"arms.{arm}.synthetic: '{spec.generator}' makes images from masks, and"
                f" '{images.card.name}' has none",
                "import the set with --masks, or use a generator that starts from noise",
            )
