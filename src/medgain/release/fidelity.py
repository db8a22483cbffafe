"""What a datasheet takes of a score (`score.json`): figures and sentences, no paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from medgain.release.privacy import LEFT_OUT, looks_like_path, without
from medgain.runtime.errors import DataError
from medgain.runtime.files import read_json
from medgain.runtime.records import record_file

REMEDY = "score this set: medgain score REAL_SET SYNTHETIC_SET --out score"


class ScoreLine(BaseModel):
    """One score of one extractor, overall (`label` None) or of a class; `null` is real to real."""

    model_config = ConfigDict(extra="ignore")
    extractor: str
    label: str | None
    score: str
    n: int | None = None
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    null: float | None = None


class Fidelity(BaseModel):
    """How close the images come to held-out real ones, and by what that was measured."""

    model_config = ConfigDict(extra="forbid")
    real_set: str
    real_images: int | None
    rule: str
    headline: str
    findings: list[str]
    scores: list[ScoreLine]


def read_score(path: Path | str, fingerprint: str) -> Fidelity:
    """Read the score at `path` (folder or JSON file) of the set with `fingerprint`.

    Raises:
        DataError: there is none, it is damaged, or it is the score of another set.
    """
    file = record_file(path, "score.json", REMEDY)
    score = read_json(file)
    if not isinstance(score, Mapping) or not isinstance(score.get("synthetic"), Mapping):
        raise DataError(f"{file} is no score", REMEDY)
    if score["synthetic"].get("fingerprint") != fingerprint:
        raise DataError(f"{file} is the score of another set (the fingerprints differ)", REMEDY)
    try:
        return _fidelity(score)
    except (ValidationError, AttributeError, KeyError, TypeError) as error:
        problem = str(error).splitlines()[0]
        raise DataError(f"{file} is damaged ({problem})", REMEDY) from None


def _fidelity(score: Mapping[str, Any]) -> Fidelity:
    real = score.get("real", {})
    lines = [
        ScoreLine(
            extractor=_public(block.get("identity", block["name"])),
            label=scope.get("label"),
            score=key,
            n=scope.get("n"),
            **{name: found.get(name) for name in ("value", "ci_low", "ci_high", "null")},
        )
        for block in score.get("features", [])
        for scope in block.get("scopes", [])
        for key, found in scope.get("scores", {}).items()
    ]
    return Fidelity(
        real_set=_public(real.get("name", "unknown")),
        real_images=real.get("compared"),
        rule=_public(real.get("rule", "")),
        headline=_public(score.get("headline", "")),
        findings=without([*score.get("sentences", []), *score.get("notes", [])], ()),
        scores=lines,
    )


def _public(text: str) -> str:
    return LEFT_OUT if looks_like_path(text) else text
