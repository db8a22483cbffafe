"""What may be released: never real images; others with a passing audit, or forced in writing."""

from __future__ import annotations

from dataclasses import dataclass, field

from medgain.assess.audit.result import AUDIT_REMEDY, AuditResult
from medgain.imageset.imageset import ImageSet
from medgain.release.privacy import looks_like_path
from medgain.runtime.errors import ConfigError, DataError, MedgainError


class ReleaseRefused(MedgainError):
    """The set must not, or not yet, be published."""


@dataclass(frozen=True)
class Clearance:
    """What was decided: positions to publish, the audit that counts, risks taken and why."""

    keep: list[int]
    audit: AuditResult | None
    obstacles: list[str] = field(default_factory=list)
    reason: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def forced(self) -> bool:
        """Whether the set is released although something stands against it."""
        return bool(self.obstacles)


def clear(
    image_set: ImageSet, audit: AuditResult | None, accept_risk: str | None = None
) -> Clearance:
    """Decide whether `image_set` may be released, and which of its images.

    Args:
        audit: of exactly this set; may be None for phantoms, which no patient stands behind.
        accept_risk: why it is released although no passing audit covers it.

    Raises:
        ReleaseRefused: real images or copies of them (`accept_risk` does not help), no passing
            audit of this set and no reason, or nothing is left without the flagged images.
        ConfigError: the reason is empty.
        DataError: the audit contradicts itself.
    """
    _refuse_real(image_set)
    if accept_risk is not None and not accept_risk.strip():
        raise ConfigError("--accept-risk is empty", "write the reason: it goes into the datasheet")
    obstacles = _source_obstacles(image_set)
    mine = audit is not None and audit.synthetic_fingerprint == image_set.fingerprint()
    if audit is None:
        learned = any("generator" in step for step in image_set.card.history)
        if image_set.card.origin != "phantom" or learned:
            obstacles.append("there is no audit")
    elif not mine:
        obstacles.append("the audit is of another set (the fingerprints differ)")
    elif audit.verdict != "pass":
        why = f": {'; '.join(audit.reasons)}" if audit.reasons else ""
        obstacles.append(f"the audit's verdict is '{audit.verdict}'{why}")
    if audit is not None and mine:
        obstacles += _training_obstacles(image_set, audit)
    if obstacles and accept_risk is None:
        raise ReleaseRefused(
            f"'{image_set.card.name}' is not released: {' and '.join(obstacles)}",
            f'{AUDIT_REMEDY}; or take the risk in writing with --accept-risk "reason"',
        )
    valid = audit if mine else None
    notes = []
    if accept_risk is not None and not obstacles:
        notes.append("--accept-risk was not needed: the set was cleared without it")
    keep = _unflagged(image_set, valid)
    return Clearance(
        keep, valid, obstacles, accept_risk.strip() if accept_risk and obstacles else None, notes
    )


def _refuse_real(image_set: ImageSet) -> None:
    name, origin, records = image_set.card.name, image_set.card.origin, image_set.records
    if not len(image_set):
        raise ReleaseRefused(f"'{name}' has no images", "sample some first")
    if origin == "real":
        raise ReleaseRefused(
            f"'{name}' holds real images; a release is for synthetic ones",
            "publishing images of patients takes de-identification and consent, not this command",
        )
    steps = [step for step in image_set.card.history if step.get("generator") == "copy"]
    copied = "copied_from" in records and bool((records["copied_from"].fillna("") != "").any())
    if origin == "synthetic" and (steps or copied):
        raise ReleaseRefused(
            f"'{name}' holds unchanged copies of training images (generator 'copy')",
            "copies of real images are real images; release samples of another generator",
        )


def _source_obstacles(image_set: ImageSet) -> list[str]:
    """A synthetic image comes from a generator; one that comes from a file may be anything."""
    if image_set.card.origin != "synthetic":
        return []
    sources = image_set.records["source"].astype(str)
    files = int(sources.map(lambda source: "/" in source or looks_like_path(source)).sum())
    if not files:
        return []
    return [f"{files} of its images were imported from files, and may be real ones"]


def _training_obstacles(image_set: ImageSet, audit: AuditResult) -> list[str]:
    """An audit against fewer images than were learned from can't have seen them all."""
    learned = max(
        (int(step.get("training_images") or 0) for step in image_set.card.history), default=0
    )
    compared = audit.sets.train.images
    if compared >= learned:
        return []
    return [
        f"the audit compared with {compared} training images, and a generator learned from"
        f" {learned}"
    ]


def _unflagged(image_set: ImageSet, audit: AuditResult | None) -> list[int]:
    if audit is None:
        return list(range(len(image_set)))
    ids = image_set.records["image_id"].astype(str)
    unknown = sorted(set(audit.flagged) - set(ids))
    if unknown or audit.images != len(image_set):
        what = (
            f"flags '{unknown[0]}', which the set lacks"
            if unknown
            else (f"counts {audit.images} images where the set has {len(image_set)}")
        )
        raise DataError(f"the audit {what}", "it was changed, or the set was; audit it again")
    flagged = set(audit.flagged)
    keep = [position for position, image_id in enumerate(ids) if image_id not in flagged]
    if not keep:
        raise ReleaseRefused(
            f"all {len(image_set)} images of '{image_set.card.name}' are flagged by the audit:"
            " nothing is left to release",
            "train the generator anew, with more images or fewer steps",
        )
    return keep
