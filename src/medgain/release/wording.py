"""Sentences of the datasheet."""

from __future__ import annotations

from medgain.assess.audit.verdict import Verdict

STATEMENTS = {
    "synthetic": "Synthetic images: drawn by a generator, not taken of any patient. Not for"
    " diagnosis.",
    "phantom": "Made-up images (phantoms): drawn by a program that never saw a patient's image. Not"
    " for diagnosis.",
}
INTENDED = [
    "Teaching, and trying out software that reads medical images.",
    "Research on methods, with every result stated as one on synthetic images.",
    "Training, once a comparison on real held-out images has shown that it helps there.",
]
NOT_INTENDED = [
    "Diagnosis, or any decision about a patient.",
    "Evaluating a model for clinical use: only real images can show how it does on them.",
    "Estimating how often a finding or a kind of patient occurs.",
    "Attempts to recover images or identities of the people behind the training data.",
]


def limits(
    origin: str,
    *,
    masks: bool,
    scored: bool,
    verdict: Verdict | None,
    training_matches: bool | None,
    forced: bool,
) -> list[str]:
    """Return what a user of the release has to bear in mind.

    Args:
        origin: "synthetic" or "phantom".
        masks: whether there are masks.
        scored: whether the set's fidelity was measured.
        verdict: of the audit; None where there is none.
        training_matches: whether the audit compared with the recorded training set, if known.
        forced: whether the set was released although it was not cleared.
    """
    found = []
    if origin == "synthetic":
        found.append(
            "A label is the class that the generator was asked for. No reader has confirmed that"
            " the image shows it."
        )
        found.append(
            "The generator learned from one training set, and repeats its scanners, its mix of"
            " patients and its gaps; it may also draw anatomy that cannot be."
        )
    else:
        found.append(
            "Phantoms are simple drawings: far easier to tell apart than patients' images."
        )
    if masks and origin == "synthetic":
        found.append("Masks were not drawn or checked by a reader.")
    found.append(
        "Pixel size, orientation and position in the body are unknown: nothing can be measured in"
        " millimetres."
    )
    if origin == "synthetic" and not scored:
        found.append("How close the images come to real ones (fidelity) was not measured.")
    if verdict is not None:
        found.append(
            "The audit looks for near-copies of training images at the size given here. That it"
            " passed is evidence that no image was memorised, not proof."
            if verdict == "pass"
            else "The audit did not pass: some images may resemble patients' images closely."
        )
    elif origin == "synthetic":
        found.append(
            "No audit covers this set: images may resemble those of patients in the training data."
        )
    if training_matches is False:
        found.append(
            "The audit compared with a set that is not exactly what the generator was trained on"
            " (the fingerprints differ); that it contains the training images is the publisher's"
            " word."
        )
    if forced:
        found.append(
            "This set was not cleared for release; its publisher released it at their own risk, see"
            " below."
        )
    return found
