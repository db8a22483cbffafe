"""Does a synthetic set hold copies of its training images? Calibrated on held-out real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medgain.assess.audit.distances import Distances, Measure, group_codes, make_measure
from medgain.assess.audit.inputs import AuditSets, OnOverlap, check_sets
from medgain.assess.audit.result import (
    AuditedSet,
    AuditedSets,
    AuditResult,
    DistanceHistograms,
    FlagThresholds,
    MembershipAuroc,
    UsualDistances,
)
from medgain.assess.audit.tables import histogram, pairs, per_class, table
from medgain.assess.audit.verdict import RULE, Evidence, judge
from medgain.imageset.imageset import ImageSet
from medgain.metrics.memorisation.calibration import (
    QUANTILE,
    Membership,
    Thresholds,
    calibrate,
    clopper_pearson,
    cluster_size,
    excess_p_value,
    membership,
    usual_distances,
)
from medgain.runtime.progress import progress
from medgain.runtime.seeds import SeedTree
from medgain.runtime.version import __version__

MEMBERS = 1000  # training images at most whose membership is tested
RESAMPLES = 1000
Features = Callable[[ImageSet], np.ndarray]


@dataclass(frozen=True)
class Audit:
    """An audit: its result, a row of distances per image, and the sets that it compared."""

    result: AuditResult
    distances: pd.DataFrame
    sets: AuditSets


@dataclass(frozen=True)
class MembershipTests:
    """The membership tests: by relative distance, by distance alone, and without the generator.

    `shift` tells training from held-out images by their distance to other training images: away
    from 0.5 the two come from different sources. None where training has a single group.
    """

    relative: Membership
    plain: Membership
    shift: Membership | None


def audit(
    synthetic: ImageSet,
    train: ImageSet,
    holdout: ImageSet,
    *,
    features: Features | None = None,
    features_name: str = "gradients",
    on_overlap: OnOverlap = "error",
    seed: int = 0,
    quiet: bool = False,
) -> Audit:
    """Hold each synthetic image's distance to its nearest training image against real ones'.

    Args:
        synthetic: the set to be judged.
        train: the images that its generator saw, all of them.
        holdout: real images of other patients, from the same source: they calibrate.
        features: images → (N, D), for the distances by features; edge directions if None.
        features_name: what to call them.
        on_overlap: "drop" leaves out of the hold-out what the training set holds.
        seed: of the membership test's draws.
        quiet: no progress.

    Raises:
        DataError: a set is empty or their shapes differ.
        LeakError: the hold-out shares images or groups with the training set.
    """
    sets = check_sets(synthetic, train, holdout, on_overlap)
    seeds = SeedTree(seed).child("audit")
    members = _members(sets.train, seeds)
    steps = len(sets.synthetic) + 2 * len(sets.holdout) + 2 * len(members)
    with progress("audit", steps, quiet=quiet) as advance:
        measure = make_measure(sets, features, lambda count: advance(count, ""))
        of_holdout = measure.distances(sets.holdout, "train")
        of_synthetic = measure.distances(sets.synthetic, "train")
        tests = _membership(sets, measure, members, of_holdout, seeds)
    labels, real_labels = _labels(sets.synthetic), _labels(sets.holdout)
    usual = (
        usual_distances(of_holdout.pixels, real_labels),
        usual_distances(of_holdout.features, real_labels),
    )
    of_holdout = of_holdout.relative(real_labels, usual)
    of_synthetic = of_synthetic.relative(labels, usual)
    limits = calibrate(of_holdout.near, of_holdout.feature_near)
    copied = _is_copy(of_synthetic, limits)
    flagged = copied | _is_flagged(of_synthetic, limits)
    near_holdout = _is_flagged(of_holdout, limits)
    evidence = Evidence(
        copies=int(copied.sum()),
        flagged=int(flagged.sum()),
        images=len(sets.synthetic),
        expected=limits.expected,
        p_value=excess_p_value(
            int(flagged.sum()),
            len(sets.synthetic),
            limits.flagged_holdout,
            len(sets.holdout),
            cluster_size(sets.holdout.groups[near_holdout]),
        ),
        membership=tests.relative,
        shift=tests.shift,
        holdout=len(sets.holdout),
        suspicious=len(limits.suspicious),
    )
    verdict, reasons = judge(evidence)
    result = AuditResult(
        medgain=__version__,
        seed=seed,
        verdict=verdict,
        rule=RULE,
        reasons=reasons,
        notes=[*sets.notes, *_notes(evidence, limits, measure)],
        synthetic_fingerprint=sets.synthetic.fingerprint(),
        train_fingerprint=sets.train.fingerprint(),
        holdout_fingerprint=sets.holdout.fingerprint(),
        images=evidence.images,
        size_px=sets.synthetic.size_px,
        sets=AuditedSets(
            synthetic=_described(sets.synthetic),
            train=_described(sets.train),
            holdout=_described(sets.holdout),
        ),
        features=features_name,
        flagged=_ids(sets.synthetic, flagged),
        flag_rate=evidence.flagged / evidence.images,
        flag_rate_ci=clopper_pearson(evidence.flagged, evidence.images),
        flag_rate_expected=evidence.expected,
        flag_p_value=evidence.p_value,
        copies=_ids(sets.synthetic, copied),
        copy_rate=evidence.copies / evidence.images,
        copy_rate_ci=clopper_pearson(evidence.copies, evidence.images),
        membership_auroc=tests.relative.auroc,
        membership_ci=(tests.relative.low, tests.relative.high),
        membership_plain=_auroc(tests.plain),
        source_shift=_auroc(tests.shift) if tests.shift else None,
        usual_distances=UsualDistances(pixels=usual[0], features=usual[1]),
        thresholds=_thresholds(limits, evidence.holdout),
        per_class=per_class(sets.synthetic, flagged, copied),
        histogram=DistanceHistograms(
            pixels=histogram(of_synthetic.near, of_holdout.near, limits.pixels),
            features=histogram(of_synthetic.feature_near, of_holdout.feature_near, limits.features),
        ),
        pairs=pairs(sets, of_synthetic, limits, flagged, copied),
    )
    return Audit(result, table(sets, of_synthetic, of_holdout, flagged, near_holdout), sets)


def _members(train: ImageSet, seeds: SeedTree) -> np.ndarray:
    """Return the training images whose membership is tested: all, or as many at random."""
    if len(train) <= MEMBERS:
        return np.arange(len(train))
    return np.sort(seeds.child("members").numpy().permutation(len(train))[:MEMBERS])


def _membership(
    sets: AuditSets, measure: Measure, members: np.ndarray, holdout: Distances, seeds: SeedTree
) -> MembershipTests:
    """Return the membership tests.

    An image that lies near many others lies near synthetic ones too, member or not. So its
    distance to the synthetic set is divided by that to the nearest training image of another
    group ("difficulty calibration", Watson et al. 2022, ICLR), which also makes up for a
    hold-out that is easier or harder as a whole, as far as one number can.
    """
    chosen = sets.train.take(members)
    inside = measure.distances(chosen, "synthetic", kinds="pixels").pixels
    outside = measure.distances(sets.holdout, "synthetic", kinds="pixels").pixels
    rng = seeds.child("membership").numpy()
    groups = chosen.groups, sets.holdout.groups
    plain = membership(inside, outside, *groups, rng=rng, resamples=RESAMPLES)
    if len(set(sets.train.groups)) < 2:
        return MembershipTests(plain, plain, None)
    around = measure.distances(
        chosen, "train", kinds="pixels", groups=group_codes(sets.train.groups, members)
    ).pixels
    tiny = 1e-6  # identical images: 0 / 0 must not become a number out of nowhere
    relative = (inside + tiny) / (around + tiny)
    relative_outside = (outside + tiny) / (holdout.pixels + tiny)
    rng = seeds.child("membership").numpy()
    found = membership(relative, relative_outside, *groups, rng=rng, resamples=RESAMPLES)
    rng = seeds.child("shift").numpy()
    shift = membership(around, holdout.pixels, *groups, rng=rng, resamples=RESAMPLES)
    return MembershipTests(found, plain, shift)


def _is_copy(found: Distances, limits: Thresholds) -> np.ndarray:
    return found.identical | (found.near < limits.copies)


def _is_flagged(found: Distances, limits: Thresholds) -> np.ndarray:
    return (found.near < limits.pixels) | (found.feature_near < limits.features)


def _described(part: ImageSet) -> AuditedSet:
    return AuditedSet(
        name=part.card.name,
        images=len(part),
        groups=len(set(part.groups)),
        groups_known=part.card.groups_known,
        origin=part.card.origin,
    )


def _thresholds(limits: Thresholds, holdout: int) -> FlagThresholds:
    return FlagThresholds(
        quantile=QUANTILE,
        pixels=limits.pixels,
        features=limits.features,
        copies=limits.copies,
        rank=limits.rank,
        holdout_images=holdout,
        holdout_flagged=limits.flagged_holdout,
        resolved=limits.resolved,
    )


def _auroc(found: Membership) -> MembershipAuroc:
    return MembershipAuroc(auroc=found.auroc, ci=(found.low, found.high))


def _notes(evidence: Evidence, limits: Thresholds, measure: Measure) -> list[str]:
    notes = []
    if not limits.resolved:
        notes.append(
            f"{evidence.holdout} held-out images do not resolve a 1 % quantile: the smallest"
            f" distances stand in for it, and {100 * limits.expected:.1f} % are expected by chance."
        )
    if evidence.copies == 0:
        high = clopper_pearson(0, evidence.images)[1]
        notes.append(
            f"Among {evidence.images:,} images no copy was found: of all that this generator would"
            f" draw, up to {100 * high:.2g} % could still be copies (95 % interval)."
        )
    if evidence.shifted and evidence.shift is not None:
        notes.append(
            "The hold-out differs from the training set as a whole: without any synthetic image,"
            f" the two are distinguished with AUROC {evidence.shift.auroc:.3f} (95 % interval"
            f" {evidence.shift.low:.3f} to {evidence.shift.high:.3f}). The membership test mixes"
            " that up with memory. Other patients of the training set's own source, left out of"
            " the generator's training, make the better hold-out."
        )
    if measure.blank:
        notes.append(
            f"{measure.blank:,} images without any contrast can't be compared: never flagged."
        )
    return notes


def _labels(image_set: ImageSet) -> list[str]:
    return [str(label) for label in image_set.records["label"]]


def _ids(image_set: ImageSet, chosen: np.ndarray) -> list[str]:
    return [str(name) for name in image_set.records["image_id"].to_numpy(dtype=object)[chosen]]
