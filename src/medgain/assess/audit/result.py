"""What an audit found: the record that `audit.json` holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from medgain.assess.audit.verdict import Verdict
from medgain.runtime.records import Number, Record, read_record, record_file

AUDIT_FILE = "audit.json"
AUDIT_REMEDY = "audit it: medgain audit SYNTHETIC_SET --train REAL --holdout REAL --out audit"

Interval = tuple[float, float]
PairKind = Literal[
    "identical",
    "copy",
    "near in pixels",
    "near in features",
    "near in pixels and features",
    "nearest of the rest",
]


class AuditedSet(Record):
    """One of the three sets that were compared."""

    name: str
    images: int
    groups: int
    groups_known: bool
    origin: str


class AuditedSets(Record):
    """The synthetic set, what its generator was trained on, and the real images held out."""

    synthetic: AuditedSet
    train: AuditedSet
    holdout: AuditedSet


class MembershipAuroc(Record):
    """An AUROC of training against held-out images, with its 95 % interval."""

    auroc: float
    ci: Interval


class UsualDistances(Record):
    """Median distance of held-out images by class; "" of all. Relative distances are over these."""

    pixels: dict[str, float]
    features: dict[str, float]


class FlagThresholds(Record):
    """Relative distances below which an image is flagged, or counts as a copy.

    Attributes:
        rank: which smallest distance of the held-out images each limit is.
        resolved: whether there are enough held-out images for the `quantile`.
    """

    quantile: float
    pixels: Number
    features: Number
    copies: Number
    rank: int
    holdout_images: int
    holdout_flagged: int
    resolved: bool


class ClassCounts(Record):
    """How many synthetic images of a class were flagged, and how many are copies."""

    label: str
    images: int
    flagged: int
    copies: int


class DistanceHistogram(Record):
    """Images of both sets counted by relative distance in bins between `edges`."""

    edges: list[float]
    synthetic: list[int]
    holdout: list[int]
    threshold: Number


class DistanceHistograms(Record):
    """Histograms of both kinds of distance."""

    pixels: DistanceHistogram
    features: DistanceHistogram


class ImagePair(Record):
    """A synthetic image and the training image that it resembles most.

    Attributes:
        distance, feature_distance: as measured; `relative_…`: over what is usual for the class.
        aligned_by: 2 × 3, from places in the training image to places in the synthetic one, both
            64 px wide.
    """

    image_id: str
    train_image_id: str
    distance: Number
    feature_distance: Number
    relative_distance: Number
    relative_feature_distance: Number
    kind: PairKind
    flagged: bool
    mirrored: bool
    aligned_by: list[list[float]]


class AuditResult(Record):
    """An audit's verdict and every figure behind it; docs/reference/audit.md describes the keys."""

    format: Literal[1] = 1
    medgain: str
    seed: int
    verdict: Verdict
    rule: str
    reasons: list[str]
    notes: list[str]
    synthetic_fingerprint: str
    train_fingerprint: str
    holdout_fingerprint: str
    images: int
    size_px: tuple[int, int]
    sets: AuditedSets
    features: str
    flagged: list[str]
    flag_rate: float
    flag_rate_ci: Interval
    flag_rate_expected: float
    flag_p_value: float
    copies: list[str]
    copy_rate: float
    copy_rate_ci: Interval
    membership_auroc: float
    membership_ci: Interval
    membership_plain: MembershipAuroc
    source_shift: MembershipAuroc | None
    usual_distances: UsualDistances
    thresholds: FlagThresholds
    per_class: list[ClassCounts]
    histogram: DistanceHistograms
    pairs: list[ImagePair]


def read_audit(path: Path | str) -> AuditResult:
    """Return the audit at `path`: its folder, or the JSON file.

    Raises:
        DataError: there is none, or it is no audit of this version; names the file and the key.
    """
    return read_record(record_file(path, AUDIT_FILE, AUDIT_REMEDY), AuditResult, AUDIT_REMEDY)
