"""Compare generators: the same time for each on the same real images, scored alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medgain.assess.compare.parts import (
    LIMIT_IMAGES,
    ComparedParts,
    check_models,
    divide,
    model_folder,
)
from medgain.assess.compare.result import (
    COMPARISON_FILE,
    ComparedSet,
    ComparisonProtocol,
    ComparisonResult,
    DoneRow,
    FailedRow,
    Row,
    TrainingImageScores,
    TrainingMachine,
    TrainingReport,
    WaitingRow,
)
from medgain.assess.compare.scores import Scorer, ranking, training_images
from medgain.assess.compare.wording import headline, notes, sentences
from medgain.assess.compare.worker import JOB, REPORT, SYNTHETIC, Job, run_job
from medgain.assess.score.fidelity import SPLITS, fidelity_descriptions
from medgain.assess.score.folder import draw_sheets
from medgain.assess.score.options import assign_weights, parse_features
from medgain.imageset.imageset import ImageSet
from medgain.metrics.fidelity.scores import NEIGHBOURS
from medgain.runtime.device import resolve_device
from medgain.runtime.errors import ConfigError, MedgainError
from medgain.runtime.files import atomic_path
from medgain.runtime.progress import log
from medgain.runtime.records import read_record, write_record
from medgain.runtime.version import __version__

SHEETS_FILE = "sheets.npz"


def compare(
    image_set: Path,
    models: Sequence[str],
    out: Path,
    *,
    minutes: float | None = None,
    kimg: float | None = None,
    settings: Mapping[str, Any] | None = None,
    split: str | None = None,
    held_out: str = "auto",
    label: str | None = None,
    features: str | Sequence[str] = ("radiomics",),
    weights: Sequence[str] = (),
    limit: int = LIMIT_IMAGES,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    isolated: bool = True,
    quiet: bool = True,
) -> ComparisonResult:
    """Return what was found (docs/reference/compare.md), and write it to `out`.

    Models that `out` holds already, of the same comparison, are kept as they are; one that was
    stopped goes on from its checkpoint, one that failed is tried again.

    Args:
        image_set: folder of the real set.
        models: names of generators that draw from noise, labels or masks.
        minutes, kimg: what each model may take; one of them at least.
        settings: by model: {"dcgan": {"width": 32}}.
        split, held_out, label, limit: see `medgain.assess.compare.parts.divide`.
        features, weights: as for `medgain.assess.score.run.score`; the first ranks.
        isolated: train each model in a process of its own.

    Raises:
        ConfigError: anything asked for that can't be done, or `out` holds another comparison;
            before any training.
        DataError, LeakError: the set can't be divided so.
    """
    settings = dict(settings or {})
    check_models(list(models), settings)
    if minutes is None and kimg is None:
        raise ConfigError("how long each model may train is not said", "give --minutes 10")
    names = parse_features(features)
    files = assign_weights(names, weights)
    real, chosen = ImageSet.open(image_set), resolve_device(device)
    protocol = ComparisonProtocol(
        fingerprint=real.fingerprint(),
        minutes=minutes,
        kimg=kimg,
        split=split,
        held_out=held_out,
        label=label,
        seed=seed,
        limit=limit,
        features=tuple(names),
        device=str(chosen),
        precision=precision,
    )
    parts = divide(real, protocol)
    earlier = _earlier(out, protocol)
    jobs = {
        name: Job(
            image_set=str(image_set.resolve()),
            model=name,
            config=settings.get(name) or {},
            protocol=protocol,
            quiet=quiet,
        )
        for name in models
    }
    for name, job in jobs.items():
        _refuse_other_settings(out, name, job)
    scorer = Scorer(parts, names, files, seed=seed, device=chosen)
    rows: dict[str, Row] = {row.model: row for row in earlier}
    rows |= {n: WaitingRow(model=n) for n in models if not isinstance(rows.get(n), DoneRow)}
    result = _described(real, parts, protocol, chosen, _training_images(scorer, parts, seed))
    sheets = _Sheets(out / SHEETS_FILE, parts.held_out, seed)
    order = [*models, *(name for name in rows if name not in models)]
    result = _write(out, result, [rows[name] for name in order])
    for number, name in enumerate(models, start=1):
        if isinstance(rows[name], DoneRow):
            continue
        if not quiet:
            log(f"{name}: model {number} of {len(models)}")
        rows[name] = _row(jobs[name], out, scorer, sheets, isolated)
        result = _write(out, result, [rows[name] for name in order])
    return result


def _row(job: Job, out: Path, scorer: Scorer, sheets: _Sheets, isolated: bool) -> Row:
    """Train, draw and score one model; what it did before is not done again."""
    folder = model_folder(out, job.model)
    row: dict[str, Any] = {"model": job.model, "settings": job.config}
    if not (folder / REPORT).exists():
        failure = run_job(job, folder, isolated=isolated)
        if failure is not None:
            return FailedRow(**row, cause=failure.cause, remedy=failure.remedy)
    trained = read_record(folder / REPORT, TrainingReport)
    drawn = ImageSet.open(folder / SYNTHETIC)
    started = time.monotonic()
    try:
        features = scorer(drawn)
    except MedgainError as error:
        return FailedRow(**row, cause=error.problem, remedy=error.remedy)
    sheets.add(job.model, drawn)
    cost = trained.cost.model_copy(update={"scoring_seconds": time.monotonic() - started})
    return DoneRow(
        **row,
        control=trained.control,
        models=trained.models,
        config=trained.config,
        notes=trained.notes,
        cost=cost,
        features=features,
    )


class _Sheets:
    """Random images of every set, for the page: one file that grows model by model."""

    def __init__(self, path: Path, held_out: ImageSet, seed: int) -> None:
        self.path, self.held_out, self.seed = path, held_out, seed

    def add(self, name: str, drawn: ImageSet) -> None:
        """Add images of `drawn` as "NAME/CLASS", and of the held-out ones as "/CLASS"."""
        kept: dict[str, np.ndarray] = {}
        if self.path.is_file():
            with np.load(self.path, allow_pickle=False) as file:
                kept = {key: file[key] for key in file.files}
        for key, images in draw_sheets(self.held_out, drawn, self.seed).items():
            kind, _, label = key.partition("/")
            kept[f"{name if kind == 'synthetic' else ''}/{label}"] = images
        with atomic_path(self.path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **kept)


def _training_images(scorer: Scorer, parts: ComparedParts, seed: int) -> TrainingImageScores:
    images = training_images(parts, seed)
    try:
        return TrainingImageScores(images=len(images), features=scorer(images))
    except MedgainError as error:
        return TrainingImageScores(images=len(images), features=[], cause=error.problem)


def _earlier(out: Path, protocol: ComparisonProtocol) -> list[Row]:
    """Return the rows that `out` holds of this comparison.

    Raises:
        ConfigError: it holds something else; names the first difference.
    """
    if not (out / COMPARISON_FILE).exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out} exists and holds no comparison", "choose another --out")
        return []
    found = read_record(out / COMPARISON_FILE, ComparisonResult, "choose another --out")
    theirs = found.protocol.model_dump(mode="json")
    for key, value in protocol.model_dump(mode="json").items():
        if theirs[key] != value:
            raise ConfigError(
                f"{out} holds another comparison: its {key} is {theirs[key]!r}, not {value!r}",
                "choose another --out, or ask for the same to go on",
            )
    return [row for row in found.rows if not isinstance(row, WaitingRow)]


def _refuse_other_settings(out: Path, name: str, job: Job) -> None:
    path = model_folder(out, name) / JOB
    if not path.exists():
        return
    config = read_record(path, Job).config
    if config != job.model_dump(mode="json")["config"]:
        raise ConfigError(
            f"{path.parent} was trained with the settings {config}, not {job.config}",
            f"choose another --out, or remove {path.parent}",
        )


def _described(
    real: ImageSet,
    parts: ComparedParts,
    protocol: ComparisonProtocol,
    device: torch.device,
    training_images: TrainingImageScores,
) -> ComparisonResult:
    def counts(images: ImageSet) -> dict[str, int]:
        found = images.records["label"].value_counts()
        return {label or "no label": int(found[label]) for label in sorted(found.index)}

    return ComparisonResult(
        medgain=__version__,
        protocol=protocol,
        set=ComparedSet(
            name=real.card.name,
            origin=real.card.origin,
            modality=real.card.modality,
            size_px=real.size_px,
            channels=real.channels,
            groups_known=real.card.groups_known,
            group_rule=real.card.group_rule,
            rule=parts.rule,
            test_used=parts.test_used,
            train=len(parts.train),
            train_groups=len(set(parts.train.groups)),
            train_per_class=counts(parts.train),
            held_out=len(parts.held_out),
            held_out_groups=len(set(parts.held_out.groups)),
            held_out_per_class=counts(parts.held_out),
        ),
        machine=TrainingMachine(
            torch=torch.__version__,
            cpu_threads=torch.get_num_threads(),
            gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        ),
        metrics=fidelity_descriptions(),
        neighbours=NEIGHBOURS,
        splits=SPLITS,
        training_images=training_images,
        rows=[],
        ranking=[],
    )


def _write(out: Path, result: ComparisonResult, rows: list[Row]) -> ComparisonResult:
    """Return the result with these rows and what they say, and write it to `out`."""
    whole = result.model_copy(update={"rows": rows, "ranking": ranking(rows)})
    said = {"headline": headline(whole), "sentences": sentences(whole), "notes": notes(whole)}
    whole = whole.model_copy(update=said)
    write_record(out / COMPARISON_FILE, whole)
    return whole
