"""Score a synthetic set against held-out real images: fidelity, two-sample tests, TSTR."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from medgain.assess.consistency import Outlined
from medgain.assess.extractors import TASK_STEPS, Extractor, open_extractor
from medgain.assess.score.fidelity import SPLITS, fidelity, fidelity_descriptions
from medgain.assess.score.networks import NetworkScores, train_networks, untrained
from medgain.assess.score.options import assign_weights, is_backbone, parse_features
from medgain.assess.score.parts import (
    RealParts,
    check_enough,
    check_pair,
    divide,
    of_class,
    pair_notes,
    shared_classes,
    with_classes,
)
from medgain.assess.score.result import (
    ExtractorScores,
    ScopeScores,
    ScoredRealSet,
    ScoredSyntheticSet,
    ScoreResult,
)
from medgain.assess.score.two_sample import choose_units, linear_test
from medgain.assess.score.wording import (
    consistency_sentences,
    headline,
    scope_sentence,
    training_sentences,
    two_sample_sentence,
)
from medgain.imageset.imageset import ImageSet
from medgain.metrics.fidelity import standardise
from medgain.metrics.fidelity.scores import NEIGHBOURS
from medgain.runtime.progress import log
from medgain.runtime.seeds import SeedTree
from medgain.runtime.version import __version__

LIMIT_IMAGES = 5_000
REPEATS = 3


def score(
    real: ImageSet,
    synthetic: ImageSet,
    *,
    features: str | Sequence[str] = ("radiomics",),
    weights: Sequence[str] = (),
    real_split: str | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    steps: int = TASK_STEPS,
    repeats: int = REPEATS,
    limit: int = LIMIT_IMAGES,
    training: bool = True,
    quiet: bool = True,
    on_outlined: Callable[[Mapping[str, Outlined]], None] = lambda outlined: None,
) -> ScoreResult:
    """Return every figure of a score (docs/reference/score.md).

    Args:
        real: the real set; part of it is held out (see `real_split`).
        synthetic: images of the same size, channels, depth and classes.
        features: names of extractors, see `medgain.assess.extractors`.
        weights: files of the backbones among them, see `assign_weights`.
        real_split: a part of the real set's own, "half" or "all"; None chooses.
        seed: every random number derives from it.
        device: where networks run; the CPU if None.
        steps: of each classifier that is trained for `task`, TSTR and TRTS.
        repeats: trainings of each of TSTR's classifiers; 0 leaves TSTR out.
        limit: images of each set that are compared at most, drawn by `seed`.
        training: whether to train networks beside the extractors (TSTR, pixel test, and the
            segmenter that checks masks).
        quiet: no progress.
        on_outlined: is given what that segmenter found, by side ("synthetic", "real").

    Raises:
        ConfigError: unknown features, or weights missing or unfit: before any work.
        DataError, LeakError: the sets can't be compared; says why and what to do.
    """
    started = time.monotonic()
    device = device or torch.device("cpu")
    names = parse_features(features)
    files = assign_weights(names, weights)
    check_pair(real, synthetic)
    parts = divide(real, real_split, seed)
    seeds = SeedTree(seed).child("score")
    notes = pair_notes(real, parts, synthetic)
    synthetic = with_classes(synthetic, real)
    held_out = _at_most(parts.held_out, limit, seeds.child("limit", "real"))
    shown = _at_most(synthetic, limit, seeds.child("limit", "synthetic"))
    check_enough(held_out, shown)
    opened = _open_all(names, files, parts, seed, device, steps)
    units = choose_units(held_out, shown, seeds.child("two-sample"), limit)
    blocks = []
    for name, extractor in opened.items():
        if not quiet:
            log(f"scoring by {name}")
        blocks.append(_by_extractor(extractor, held_out, shown, seeds, units))
    networks = untrained(shown)
    if training:
        networks = train_networks(
            parts.train,
            held_out,
            shown,
            units,
            seeds=seeds,
            repeats=repeats,
            steps=steps,
            device=device,
            say=(lambda note: None) if quiet else log,
            on_outlined=on_outlined,
        )
    return ScoreResult(
        medgain=__version__,
        seed=seed,
        headline=headline(blocks[0], networks.training, networks.consistency),
        summary=_sentences(blocks, networks, by_class=False),
        sentences=_sentences(blocks, networks),
        notes=notes,
        real=_describe_real(real, parts, held_out),
        synthetic=_describe_synthetic(synthetic, shown),
        neighbours=NEIGHBOURS,
        splits=SPLITS,
        metrics=fidelity_descriptions(),
        features=blocks,
        pixel_test=networks.pixel_test,
        training=networks.training,
        consistency=networks.consistency,
        seconds=round(time.monotonic() - started, 1),
    )


def _sentences(
    blocks: Sequence[ExtractorScores], networks: NetworkScores, *, by_class: bool = True
) -> list[str]:
    """Return every finding in words, or only those on the whole set."""
    said = []
    for block in blocks:
        scopes = block.scopes if by_class else block.scopes[:1]
        said += [scope_sentence(block.name, scope.label, scope.fidelity) for scope in scopes]
        said.append(two_sample_sentence(block.name, block.scopes[0].two_sample))
    said.append(two_sample_sentence("pixels", networks.pixel_test))
    said += training_sentences(networks.training)
    return said + consistency_sentences(networks.consistency, by_class=by_class)


def _open_all(
    names: Sequence[str],
    files: Mapping[str, Path | str],
    parts: RealParts,
    seed: int,
    device: torch.device,
    steps: int,
) -> dict[str, Extractor]:
    """Open every extractor, those that need a file first: a wrong file is found at once."""
    opened = {
        name: open_extractor(
            name,
            weights=files.get(name),
            train=parts.train,
            seed=seed,
            device=device,
            steps=steps,
        )
        for name in sorted(names, key=lambda name: (not is_backbone(name), name == "task"))
    }
    return {name: opened[name] for name in names}


def _by_extractor(
    extractor: Extractor,
    held_out: ImageSet,
    synthetic: ImageSet,
    seeds: SeedTree,
    units: tuple[np.ndarray, np.ndarray],
) -> ExtractorScores:
    started = time.monotonic()
    real_features, synthetic_features = extractor(held_out), extractor(synthetic)
    dimensions = real_features.shape[1]
    # one rule for all: raw activations of networks span decades, and the largest would decide
    real_features, synthetic_features = standardise(real_features, synthetic_features)
    labels: list[str | None] = [None]
    if len(held_out.classes) > 1:
        labels += shared_classes(held_out, synthetic)
    scopes = []
    for label in labels:
        own, other = _rows(held_out, label), _rows(synthetic, label)
        found = fidelity(
            real_features[own],
            synthetic_features[other],
            real_groups=held_out.groups[own],
            synthetic_groups=synthetic.groups[other],
            seeds=seeds.child("fidelity", label or ""),
        )
        test = linear_test(
            real_features[_within(units[0], own)],
            synthetic_features[_within(units[1], other)],
            seeds.child("two-sample", label or ""),
        )
        scopes.append(ScopeScores(label=label, fidelity=found, two_sample=test))
    return ExtractorScores(
        name=extractor.name,
        identity=extractor.identity,
        dimensions=dimensions,
        details=dict(getattr(extractor, "details", {})),
        scopes=scopes,
        seconds=round(time.monotonic() - started, 1),
    )


def _rows(images: ImageSet, label: str | None) -> np.ndarray:
    if label is None:
        return np.arange(len(images))
    return np.flatnonzero(images.records["label"].to_numpy() == label)


def _within(units: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.intersect1d(units, rows)


def _at_most(images: ImageSet, limit: int, seeds: SeedTree) -> ImageSet:
    if len(images) <= limit:
        return images
    return images.take(np.sort(seeds.numpy().choice(len(images), limit, replace=False)))


def _describe_real(real: ImageSet, parts: RealParts, compared: ImageSet) -> ScoredRealSet:
    return ScoredRealSet(
        name=real.card.name,
        origin=real.card.origin,
        modality=real.card.modality,
        classes=real.classes,
        size_px=real.size_px,
        channels=real.channels,
        fingerprint=real.fingerprint(),
        rule=parts.rule,
        held_out=len(parts.held_out),
        compared=len(compared),
        held_out_fingerprint=parts.held_out.fingerprint(),
        train=0 if parts.train is None else len(parts.train),
        groups_known=real.card.groups_known,
        group_rule=real.card.group_rule,
        groups=len(set(parts.held_out.groups)),
        per_class=_counts(parts.held_out),
    )


def _describe_synthetic(synthetic: ImageSet, compared: ImageSet) -> ScoredSyntheticSet:
    made = [dict(step) for step in synthetic.card.history if step.get("generator")]
    if made and any(step.get("step") == "join" for step in synthetic.card.history):
        made = [{"generator": made[-1]["generator"]}]  # the other parts' history is not known
    return ScoredSyntheticSet(
        name=synthetic.card.name,
        origin=synthetic.card.origin,
        images=len(synthetic),
        compared=len(compared),
        fingerprint=synthetic.fingerprint(),
        per_class=_counts(synthetic),
        made_by=made[-1] if made else None,
    )


def _counts(images: ImageSet) -> dict[str, int]:
    return {
        label or "no label": len(of_class(images, label))
        for label in dict.fromkeys([*images.classes, *images.records["label"]])
    }
