"""The datasheet: what a release is, where it comes from, and what it may be used for.

After Gebru et al., "Datasheets for Datasets", Communications of the ACM 64(12), 2021, shortened
to what a set of generated images can answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from medgain.assess.audit.result import AuditResult, Interval
from medgain.assess.audit.verdict import Verdict
from medgain.imageset.imageset import ImageSet, Intensity
from medgain.release import wording
from medgain.release.fidelity import Fidelity
from medgain.release.formats import FORMATS
from medgain.release.gate import Clearance
from medgain.release.licences import LICENCES, conflicts
from medgain.release.privacy import LEFT_OUT, looks_like_path, without, without_paths
from medgain.runtime.records import Record
from medgain.runtime.version import __version__

DATASHEET = "datasheet.json"


def _known_format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"unknown format '{name}'")
    return name


class Contents(Record):
    """What the folder contains."""

    images: int = Field(ge=1)
    left_out: int = Field(ge=0)
    file_format: Annotated[str, AfterValidator(_known_format)]
    height_px: int
    width_px: int
    channels: Literal[1, 3]
    bits: Literal[8, 16]
    modality: str
    classes: dict[str, int]
    masks: bool
    mask_classes: list[str]
    groups: int | None
    intensity: Intensity
    content_fingerprint: str


class GeneratorUsed(Record):
    """A generator, and what it learned from; no id, path or single image of it."""

    name: str
    config: dict[str, Any] = Field(default_factory=dict)
    trained_kimg: float | None = None
    training_set: str
    training_images: int | None = None
    training_classes: list[str] = Field(default_factory=list)
    training_fingerprint: str = ""


class Audited(Record):
    """The audit's outcome, without the images that it names."""

    verdict: Verdict
    rule: str
    reasons: list[str]
    notes: list[str]
    features: str
    images: int
    flagged: int
    flag_rate: float
    flag_rate_expected: float
    flag_rate_ci: Interval
    membership_auroc: float
    membership_ci: Interval
    synthetic_fingerprint: str
    train_fingerprint: str
    holdout_fingerprint: str
    training_matches: bool | None


class RiskAccepted(Record):
    """Why the set was released despite objections."""

    refused_because: list[str] = Field(min_length=1)
    reason: str = Field(min_length=1)


class Licence(Record):
    """Under what terms the release may be used."""

    id: str
    url: str | None
    training_data: str
    remarks: list[str]


class Datasheet(Record):
    """Everything that is said about a release; `README.md` says the same in words."""

    format: Literal[1] = 1
    title: str
    statement: str
    origin: Literal["synthetic", "phantom"]
    release_key: str
    created: str
    medgain_version: str
    set_fingerprint: str
    contents: Contents
    generators: list[GeneratorUsed]
    fidelity: Fidelity | None
    audit: Audited | None
    risk_accepted: RiskAccepted | None
    intended_use: list[str]
    not_intended: list[str]
    limits: list[str]
    licence: Licence


def describe(
    image_set: ImageSet,
    clearance: Clearance,
    contents: Contents,
    *,
    title: str,
    licence: str,
    fidelity: Fidelity | None,
    release_key: str,
    created: str,
    private: set[str],
) -> Datasheet:
    """Return the datasheet of a release of `image_set`.

    Args:
        private: texts that may not stand in it; reasons that hold one are left out.
    """
    origin: Literal["synthetic", "phantom"] = (
        "phantom" if image_set.card.origin == "phantom" else "synthetic"
    )
    generators = generators_used(image_set)
    audit = _audited(clearance.audit, generators, private) if clearance.audit else None
    # what was sampled carries the licence of what was learned
    training_licence = image_set.card.licence if origin == "synthetic" else licence
    if fidelity is not None:
        fidelity = fidelity.model_copy(update={"findings": without(fidelity.findings, private)})
    risk = None
    if clearance.forced and clearance.reason:
        risk = RiskAccepted(
            refused_because=without(clearance.obstacles, private) or [LEFT_OUT],
            reason=clearance.reason,
        )
    return Datasheet(
        title=title,
        statement=wording.STATEMENTS[origin],
        origin=origin,
        release_key=release_key,
        created=created,
        medgain_version=__version__,
        set_fingerprint=image_set.fingerprint(),
        contents=contents,
        generators=generators,
        fidelity=fidelity,
        audit=audit,
        risk_accepted=risk,
        intended_use=wording.INTENDED,
        not_intended=wording.NOT_INTENDED,
        limits=wording.limits(
            origin,
            masks=contents.masks,
            scored=fidelity is not None,
            verdict=audit.verdict if audit else None,
            training_matches=audit.training_matches if audit else None,
            forced=risk is not None,
        ),
        licence=Licence(
            id=licence,
            url=LICENCES.get(licence),
            training_data=public(training_licence) if origin == "synthetic" else "none needed",
            remarks=conflicts(licence, training_licence) if origin == "synthetic" else [],
        ),
    )


def generators_used(image_set: ImageSet) -> list[GeneratorUsed]:
    """Return the generators that the history of `image_set` names, each once."""
    used = []
    for step in image_set.card.history:
        if image_set.card.origin == "phantom" or "generator" not in step:
            continue
        kimg, count = step.get("trained_kimg"), step.get("training_images")
        one = GeneratorUsed(
            name=public(str(step["generator"])),
            config=dict(without_paths(step.get("config") or {})),
            trained_kimg=float(kimg) if kimg is not None else None,
            training_set=public(str(step.get("training_set", "unknown"))),
            training_images=int(count) if count is not None else None,
            training_classes=[str(label) for label in step.get("training_labels") or [] if label],
            training_fingerprint=str(step.get("training_fingerprint", "")),
        )
        if one not in used:
            used.append(one)
    return used


def public(text: str) -> str:
    """Return `text`, or a placeholder where it looks like a path."""
    return LEFT_OUT if looks_like_path(text) else text


def _audited(audit: AuditResult, generators: list[GeneratorUsed], private: set[str]) -> Audited:
    return Audited(
        verdict=audit.verdict,
        rule=public(audit.rule),
        reasons=without(audit.reasons, private),
        notes=without(audit.notes, private),
        features=public(audit.features),
        images=audit.images,
        flagged=len(audit.flagged),
        flag_rate=audit.flag_rate,
        flag_rate_expected=audit.flag_rate_expected,
        flag_rate_ci=audit.flag_rate_ci,
        membership_auroc=audit.membership_auroc,
        membership_ci=audit.membership_ci,
        synthetic_fingerprint=audit.synthetic_fingerprint,
        train_fingerprint=audit.train_fingerprint,
        holdout_fingerprint=audit.holdout_fingerprint,
        training_matches=_training_matches(audit, generators),
    )


def _training_matches(audit: AuditResult, generators: list[GeneratorUsed]) -> bool | None:
    """Return whether the audited training set is the recorded one; None where it can't be told.

    Generators of single classes each recorded their part: their numbers can be added, that is all.
    """
    parts = {one.training_fingerprint: one.training_images or 0 for one in generators}
    if not parts or "" in parts:
        return None
    if set(parts) == {audit.train_fingerprint}:
        return True
    return None if len(parts) > 1 and sum(parts.values()) == audit.sets.train.images else False
