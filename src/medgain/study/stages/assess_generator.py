"""How good and how private a trained generator is, to stand beside the gain of its arm.

The images held out from it are those of the same class outside its training part but inside the
fold's training pool: validation images, and what a smaller fraction leaves unused. Test images
are not touched: they are for scoring the models. Nothing is decided by what is found here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from medgain.assess.audit.run import audit
from medgain.assess.consistency import train_and_check
from medgain.assess.score.result import ConsistencyScores, FidelityScores, NotDone
from medgain.assess.score.run import score
from medgain.generators.base import Generator
from medgain.imageset.imageset import ImageSet
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.seeds import SeedTree
from medgain.study.cells import split_fold
from medgain.study.dataset import Prepared
from medgain.study.plan.plan import Plan
from medgain.study.records.assessment import (
    AssessmentRecord,
    AuditSummary,
    FinishedAssessment,
)
from medgain.study.records.verdict import AuditCounts, GeneratorSummary
from medgain.study.stages.base import GeneratorStage
from medgain.study.synthetic.routes import routes_used


def assess_generator(
    generator: Generator[Any],
    train: ImageSet,
    held_out: ImageSet,
    seeds: SeedTree,
    images: int,
    *,
    steps: int,
    device: torch.device,
    together: bool = False,
) -> dict[str, Any]:
    """Return fidelity and audit of a generator's samples, or why there is none.

    Args:
        generator: already fitted to `train`.
        train: all images that it saw.
        held_out: real images of the same class, of other groups.
        seeds: of the samples, of what is drawn from the held-out images, and of the tests.
        images: how many synthetic and held-out images are compared, at most.
        steps: of the segmenter that is asked whether images and masks belong together.
        device: that it is trained on.
        together: the generator knows several classes, and is asked for those held out, as often.
    """
    if len(held_out) > images:
        rows = seeds.child("held-out").numpy().choice(len(held_out), images, replace=False)
        held_out = held_out.take(np.sort(rows))
    found: dict[str, Any] = {"images": images, "held_out_images": len(held_out)}
    try:
        seed = seeds.child("samples").integer()
        labels = _as_often(held_out, images) if together else None
        synthetic = generator.sample(images, seed=seed, labels=labels)
        if synthetic.masks is not None and train.masks is not None:
            found["consistency"], _ = train_and_check(
                train,
                held_out,
                synthetic,
                seeds=seeds.child("consistency"),
                steps=steps,
                device=device,
            )
        audited = audit(synthetic, train, held_out, seed=seeds.integer(), quiet=True).result
        scored = score(held_out, synthetic, real_split="all", training=False, seed=seeds.integer())
    except MedgainError as error:
        return found | {"reason": error.problem}
    block = scored.features[0]
    fidelity = block.scopes[0].fidelity
    return found | {
        "features": block.identity,
        "fidelity": fidelity.scores if isinstance(fidelity, FidelityScores) else {},
        "fidelity_reason": fidelity.reason if isinstance(fidelity, NotDone) else "",
        "audit": AuditSummary(**audited.model_dump(include=set(AuditSummary.model_fields))),
    }


def _as_often(held_out: ImageSet, count: int) -> list[str]:
    """Return `count` labels, each as often as it stands in `held_out`.

    Raises:
        DataError: there are none.
    """
    if not len(held_out):
        raise DataError("no real images are held out", "use a smaller fraction")
    known = held_out.records["label"].to_numpy(dtype=object)
    return [str(label) for label in np.resize(known, count)]


def held_out_images(plan: Plan, prepared: Prepared, stage: GeneratorStage) -> ImageSet:
    """Return the real images that the stage's generator must not have seen, of what it makes."""
    wanted = {stage.label}
    if stage.classes:
        fraction = stage.where.fraction
        wanted = set(routes_used(plan, stage.name, stage.classes, fraction, prepared.images))
    split = split_fold(plan, prepared.images, stage.where, prepared.banned)
    labels = prepared.images.records["label"].to_numpy(dtype=object)
    groups = prepared.images.groups
    used = set(groups[split.train]) | set(groups[split.test])
    return prepared.images.take(
        [
            row
            for row in range(len(prepared.images))
            if labels[row] in wanted and groups[row] not in used
        ]
    )


def summarise(assessments: Sequence[AssessmentRecord]) -> GeneratorSummary | None:
    """Return the means over a generator's assessments at one fraction, and a sentence.

    None where nothing could be assessed.
    """
    done = [one for one in assessments if isinstance(one, FinishedAssessment)]
    audited = [(one, one.audit) for one in done if one.audit is not None]
    checked = [one.consistency for one in done if isinstance(one.consistency, ConsistencyScores)]
    if not audited and not checked:
        return None
    found: dict[str, Any] = {}
    sentences = []
    if audited:
        found |= _privacy([audit for _, audit in audited])
        found |= _fidelity([one for one, _ in audited])
        sentences += _fidelity_words(found)
    if checked:
        found |= _consistency(checked)
        sentences.append(
            "a segmenter of real pairs finds their masks with Dice"
            f" {found['consistency']:.2f} (in held-out real images {found['consistency_real']:.2f})"
        )
    text = f"Its generators ({len(assessments)}): " + "; ".join(sentences) + "."
    return GeneratorSummary(assessed=len(assessments), text=text, **found)


def _privacy(audits: Sequence[AuditSummary]) -> dict[str, Any]:
    verdicts = Counter(audit.verdict for audit in audits)
    return {
        "audit": AuditCounts(
            passed=verdicts["pass"], review=verdicts["review"], failed=verdicts["fail"]
        ),
        "flag_rate": _mean(audit.flag_rate for audit in audits),
        "flag_rate_expected": _mean(audit.flag_rate_expected for audit in audits),
        "membership_auroc": _mean(audit.membership_auroc for audit in audits),
    }


def _fidelity(audited: Sequence[FinishedAssessment]) -> dict[str, float]:
    found = {}
    for key in ("kd", "coverage", "density"):
        scores = [one.fidelity[key] for one in audited if key in one.fidelity]
        if scores:
            found[key] = _mean(score.value for score in scores)
            found[f"{key}_null"] = _mean(score.null for score in scores)
    return found


def _fidelity_words(found: dict[str, Any]) -> list[str]:
    parts = []
    if "kd" in found:
        parts.append(
            f"radiomics KD {found['kd']:.2g} (real-real {found['kd_null']:.2g}),"
            f" coverage {found['coverage']:.2f} (real-real {found['coverage_null']:.2f})"
        )
    parts.append(
        f"{100 * found['flag_rate']:.1f} % of samples nearer to a training image than chance"
        f" explains ({100 * found['flag_rate_expected']:.1f} % expected), membership AUROC"
        f" {found['membership_auroc']:.2f}"
    )
    counts = found["audit"].model_dump()
    words = [f"{count} {word}" for word, count in counts.items() if count]
    return [*parts, "memorisation audit: " + ", ".join(words)]


def _consistency(checked: Sequence[ConsistencyScores]) -> dict[str, Any]:
    """Return the Dice of a segmenter of real pairs on synthetic and on held-out real images."""
    dice = [one.scores["dice"] for one in checked]
    return {
        "consistency": _mean(score.synthetic.value for score in dice),
        "consistency_real": _mean(score.real.value for score in dice),
        "consistency_checked": len(checked),
    }


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
