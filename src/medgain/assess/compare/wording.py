"""What a comparison of generators found, in sentences."""

from __future__ import annotations

from medgain.assess.compare.result import (
    ComparisonProtocol,
    ComparisonResult,
    DoneRow,
    FailedRow,
    WaitingRow,
)
from medgain.assess.compare.scores import apart, of_scope, overall
from medgain.assess.score.result import FidelityScore
from medgain.metrics.base import find_metric
from medgain.runtime.text import figure, listing

LEAST_SPREAD = 0.002  # where all halves agree, decimals would have no end


def budget_words(protocol: ComparisonProtocol) -> str:
    """Return "10 minutes", "50 kimg" or both."""
    limits = []
    if protocol.minutes is not None:
        limits.append(f"{protocol.minutes:g} minutes")
    if protocol.kimg is not None:
        limits.append(f"{protocol.kimg:g} kimg")
    return " or ".join(limits)


def done_rows(result: ComparisonResult) -> dict[str, DoneRow]:
    """Return the rows of the models that were scored, by the models' names."""
    return {row.model: row for row in result.rows if isinstance(row, DoneRow)}


def headline(result: ComparisonResult) -> str:
    """Return the answer in one sentence: which generator comes nearest, and which are as near."""
    names, rows = result.ranking, done_rows(result)
    each = f"{budget_words(result.protocol)} each"
    if not names:
        return f"No generator has been scored yet ({each})."
    scores = {name: overall(rows[name].features)["kd"] for name in names}
    best = names[0]
    found = beside_null("kd", scores[best])
    by = rows[best].features[0].name
    if len(names) == 1:
        return f"Only {best} has a score, after {each}: {found} by {by}."
    near = [name for name in names[1:] if not apart(scores[best], scores[name])]
    said = f"Of {len(names)} generators, {each}, {best} comes nearest to real images: {found}"
    if not near:
        return f"{said} by {by}; every other one is farther away."
    verb = "is" if len(near) == 1 else "are"
    return f"{said} by {by}; {listing(near)} {verb} as near, within the intervals."


def sentences(result: ComparisonResult) -> list[str]:
    """Return what else the table says: cover, the training images, other features, failures."""
    names, rows = result.ranking, done_rows(result)
    said = []
    if names:
        cover = {name: overall(rows[name].features)["coverage"] for name in names}
        most = max(names, key=lambda name: cover[name].value)
        said.append(
            f"Real variety is covered best by {most}: {beside_null('coverage', cover[most])}."
        )
        said += _other_features(names, rows)
    reference = overall(result.training_images.features)
    if reference:
        said.append(
            f"Training images themselves, compared with the same images: "
            f"{beside_null('kd', reference['kd'])},"
            f" {beside_null('coverage', reference['coverage'])}. No generator can be expected to"
            " be nearer."
        )
    for row in result.rows:
        if isinstance(row, FailedRow):
            said.append(f"{row.model} failed: {row.cause}.")
    waiting = [row.model for row in result.rows if isinstance(row, WaitingRow)]
    if waiting:
        said.append(f"Not trained yet: {listing(waiting)}.")
    return said


def _other_features(names: list[str], rows: dict[str, DoneRow]) -> list[str]:
    """Return which model is nearest by each further extractor."""
    said = []
    for number, block in enumerate(rows[names[0]].features[1:], start=1):
        found = {}
        for name in names:
            scores = of_scope(rows[name].features[number].scopes[0])
            if scores:
                found[name] = scores["kd"]
        if found:
            best = min(found, key=lambda name: found[name].value)
            said.append(f"By {block.name}, {best} is nearest: {beside_null('kd', found[best])}.")
    return said


def notes(result: ComparisonResult) -> list[str]:
    """Return what a reader must know about how the comparison was made."""
    about, protocol = result.set, result.protocol
    said = [
        "Each generator was trained once, by one seed: another seed may exchange two that are"
        " near each other. Fidelity is not usefulness: whether images help a model is what a study"
        " finds out."
    ]
    if protocol.minutes is not None:
        said.append(
            "Equal wall time holds on this machine as busy as it was; on another one the order may"
            " differ."
        )
    if about.test_used:
        said.append(
            "Samples were compared with the test part: a study that reports on this test part"
            " should choose its generator by --held-out 0.25 instead."
        )
    if not about.groups_known:
        said.append(
            "Patient ids unknown: leakage between images of one patient cannot be excluded."
        )
    if about.origin == "phantom":
        said.append("The real set is made of phantoms: these scores say nothing about patients.")
    done = done_rows(result)
    several = [row for row in done.values() if row.models > 1]
    if several:
        count = several[0].models
        said.append(
            f"{listing([row.model for row in several])}: {count} models, one per class, which"
            f" share the time (1/{count} each)."
        )
    for row in done.values():
        said += [f"{row.model}: {note}." for note in row.notes]
    return said


def score_words(score: FidelityScore | None) -> tuple[str, str]:
    """Return a score and its interval as text, in the decimals of its spread; dashes for None."""
    if score is None:
        return "–", ""
    spread = max((score.ci_high - score.ci_low) / 4, LEAST_SPREAD)
    value, low, high = (figure(one, spread) for one in (score.value, score.ci_low, score.ci_high))
    return value, f"{low} to {high}"


def beside_null(key: str, score: FidelityScore) -> str:
    """Return "KD 0.31 (real-real 0.008 ± 0.016)", each in the decimals of its own spread."""
    name = find_metric(key).label
    sd = max(score.null_sd, LEAST_SPREAD)
    null = f"{figure(score.null, sd)} ± {figure(score.null_sd, sd)}"
    return f"{name} {score_words(score)[0]} (real-real {null})"
