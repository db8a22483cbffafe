"""What a datasheet takes of a score: figures and sentences, no paths."""

from __future__ import annotations

from pathlib import Path

from medgain.assess.score.result import SCORE_REMEDY, FidelityScores, ScoreResult, read_score
from medgain.release.privacy import LEFT_OUT, looks_like_path, without
from medgain.runtime.errors import DataError
from medgain.runtime.records import Record


class ScoreLine(Record):
    """One score of one extractor, overall (`label` None) or of a class; `null` is real to real."""

    extractor: str
    label: str | None
    score: str
    n: int
    value: float
    ci_low: float
    ci_high: float
    null: float


class Fidelity(Record):
    """How close the images come to held-out real ones, and by what that was measured."""

    real_set: str
    real_images: int
    rule: str
    headline: str
    findings: list[str]
    scores: list[ScoreLine]


def read_fidelity(path: Path | str, fingerprint: str) -> Fidelity:
    """Read the score at `path` (folder or JSON file) of the set with `fingerprint`.

    Raises:
        DataError: there is none, it is no score of this version, or it is one of another set.
    """
    score = read_score(path)
    if score.synthetic.fingerprint != fingerprint:
        raise DataError(
            f"{path} is the score of another set (the fingerprints differ)", SCORE_REMEDY
        )
    return fidelity_of(score)


def fidelity_of(score: ScoreResult) -> Fidelity:
    """Return what may be published of a score."""
    lines = [
        ScoreLine(
            extractor=_public(block.identity),
            label=scope.label,
            score=name,
            n=scope.fidelity.n,
            value=found.value,
            ci_low=found.ci_low,
            ci_high=found.ci_high,
            null=found.null,
        )
        for block in score.features
        for scope in block.scopes
        if isinstance(scope.fidelity, FidelityScores)
        for name, found in scope.fidelity.scores.items()
    ]
    return Fidelity(
        real_set=_public(score.real.name),
        real_images=score.real.compared,
        rule=_public(score.real.rule),
        headline=_public(score.headline),
        findings=without([*score.sentences, *score.notes], ()),
        scores=lines,
    )


def _public(text: str) -> str:
    return LEFT_OUT if looks_like_path(text) else text
