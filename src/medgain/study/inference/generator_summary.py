"""Fidelity and privacy of an arm's generators: means over their assessments, and a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from medgain.assess.score.result import ConsistencyScores
from medgain.study.folder import StudyFolder
from medgain.study.records.assessment import (
    AssessmentRecord,
    Assessments,
    AuditSummary,
    FinishedAssessment,
)
from medgain.study.records.verdict import AuditCounts, GeneratorSummary


def read_assessments(folder: StudyFolder) -> Assessments:
    """Return the assessments of the plan's generators by generator name and fraction."""
    found: Assessments = {}
    for trained in folder.read_generators():
        assessed = folder.read_assessment(trained.key)
        if assessed is not None:
            found.setdefault((trained.generator, trained.fraction), []).append(assessed)
    return found


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
