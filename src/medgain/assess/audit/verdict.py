"""The audit's verdict, its rule in plain words, and its reasons with their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from medgain.metrics.memorisation.calibration import Membership

FEW_HELD_OUT = 100
FAIL_P, REVIEW_P = 0.001, 0.05
FAIL_MEMBERSHIP, CHANCE = 0.60, 0.50
Verdict = Literal["pass", "review", "fail"]

RULE = (
    "FAIL if a synthetic image is a copy: identical to a training image, or at less than half the"
    " smallest distance that a held-out real image has to the training set, each over what is"
    " usual for its class; or if so many images are flagged that new real images would give as"
    f" many with a probability below {FAIL_P:g}; or if the interval of the membership AUROC lies"
    f" above {FAIL_MEMBERSHIP:.2f} (REVIEW where the hold-out is of another source than the"
    f" training set). REVIEW if that probability is below {REVIEW_P:g}, if that interval lies above"
    f" {CHANCE:.2f}, if fewer than {FEW_HELD_OUT} held-out images calibrate the audit, or if a"
    " held-out image looks like a copy of a training image itself. PASS otherwise."
)


@dataclass(frozen=True)
class Evidence:
    """What the verdict rests on.

    Attributes:
        copies: images identical to, or as near as copies of, training images.
        flagged, images: how many synthetic images are flagged, of how many.
        expected: share of new real images that would be flagged.
        p_value: chance that as many of as many new real images would be.
        membership: AUROC with interval.
        shift: AUROC of telling training from held-out images without the synthetic set.
        holdout: how many held-out images there are.
        suspicious: held-out images that look like copies of training images.
    """

    copies: int
    flagged: int
    images: int
    expected: float
    p_value: float
    membership: Membership
    shift: Membership | None
    holdout: int
    suspicious: int

    @property
    def shifted(self) -> bool:
        """Whether the hold-out is of another source than the training set."""
        return self.shift is not None and not self.shift.low <= CHANCE <= self.shift.high


def judge(found: Evidence) -> tuple[Verdict, list[str]]:
    """Return the verdict, and a sentence for each thing that speaks for or against the set."""
    fails: list[str] = []
    reviews: list[str] = []
    calm: list[str] = []
    if found.copies:
        verb = "is a copy" if found.copies == 1 else "are copies"
        fails.append(f"{_images(found.copies)} of {found.images:,} {verb} of training images.")
    else:
        calm.append("No synthetic image is a copy of a training image.")
    share = found.flagged / max(found.images, 1)
    flags = (
        f"{found.flagged:,} of {found.images:,} images ({100 * share:.1f} %) lie nearer to a"
        f" training image than real images do by chance ({100 * found.expected:.1f} % expected);"
        f" new real images would give as many with probability {_p(found.p_value)}."
    )
    where = fails if found.p_value < FAIL_P else reviews if found.p_value < REVIEW_P else calm
    where.append(flags)
    m = found.membership
    text = (
        f"Training images are told from held-out ones with AUROC {m.auroc:.3f}"
        f" (95 % interval {m.low:.3f} to {m.high:.3f}; 0.5 is chance)."
    )
    if found.shifted and m.low > CHANCE:
        text += " Part of it, or all, may be that the hold-out is of another source: see the notes."
    certain = m.low > FAIL_MEMBERSHIP and not found.shifted
    where = fails if certain else reviews if m.low > CHANCE else calm
    where.append(text)
    if found.holdout < FEW_HELD_OUT:
        reviews.append(
            f"Only {_images(found.holdout, 'held-out image')} calibrate the audit: a 1 % quantile"
            f" needs {FEW_HELD_OUT} or more, so it cannot pass."
        )
    if found.suspicious:
        reviews.append(
            f"{_images(found.suspicious, 'held-out image')} as near to a training image as a copy"
            " would be (see distances.parquet): check that no patient is in both sets."
        )
    verdict: Verdict = "fail" if fails else "review" if reviews else "pass"
    return verdict, [*fails, *reviews, *calm]


def _images(count: int, word: str = "image") -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.2g}"
