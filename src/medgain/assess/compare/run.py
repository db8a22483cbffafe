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
    Parts,
    Protocol,
    check_models,
    divide,
    model_folder,
)
from medgain.assess.compare.scores import Scorer, ranking, training_images
from medgain.assess.compare.wording import headline, notes, sentences
from medgain.assess.compare.worker import JOB, REPORT, SYNTHETIC, Job, run_job
from medgain.assess.score.fidelity import SPLITS
from medgain.assess.score.folder import draw_sheets
from medgain.assess.score.options import assign_weights, parse_features
from medgain.imageset.imageset import ImageSet
from medgain.metrics.fidelity.scores import NEIGHBOURS, fidelity_metrics
from medgain.runtime.device import resolve_device
from medgain.runtime.errors import ConfigError, MedgainError
from medgain.runtime.files import atomic_path, read_json, write_json
from medgain.runtime.progress import log
from medgain.runtime.version import __version__

FORMAT_VERSION = 1
RESULTS_NAME = "results.json"
SHEETS_NAME = "sheets.npz"
Block = dict[str, Any]


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
) -> Block:
    """Return what results.json holds (docs/reference/compare.md), and write it to `out`.

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
    protocol = Protocol(
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
    result = _described(real, parts, protocol, chosen)
    rows = {row["model"]: row for row in earlier}
    rows |= {n: {"model": n, "status": "waiting"} for n in models if not _is_done(rows.get(n))}
    result["training_images"] = _training_images(scorer, parts, seed)
    sheets = _Sheets(out / SHEETS_NAME, parts.held_out, seed)
    order = [*models, *(name for name in rows if name not in models)]
    _write(out, result, [rows[name] for name in order])
    for number, name in enumerate(models, start=1):
        if _is_done(rows[name]):
            continue
        if not quiet:
            log(f"{name}: model {number} of {len(models)}")
        rows[name] = _row(jobs[name], out, scorer, sheets, isolated)
        _write(out, result, [rows[name] for name in order])
    found: Block = read_json(out / RESULTS_NAME)
    return found


def _row(job: Job, out: Path, scorer: Scorer, sheets: _Sheets, isolated: bool) -> Block:
    """Train, draw and score one model; what it did before is not done again."""
    folder = model_folder(out, job.model)
    row: Block = {"model": job.model, "settings": job.config}
    if not (folder / REPORT).exists():
        failure = run_job(job, folder, isolated=isolated)
        if failure is not None:
            return {**row, "status": "failed", **failure}
    cost = read_json(folder / REPORT)
    drawn = ImageSet.open(folder / SYNTHETIC)
    started = time.monotonic()
    try:
        features = scorer(drawn)
    except MedgainError as error:
        return {**row, "status": "failed", "cause": error.problem, "remedy": error.remedy}
    sheets.add(job.model, drawn)
    about = {key: cost.pop(key) for key in ("control", "models", "config", "notes")}
    cost["scoring_seconds"] = time.monotonic() - started
    return {**row, "status": "done", **about, "cost": cost, "features": features}


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


def _training_images(scorer: Scorer, parts: Parts, seed: int) -> Block:
    images = training_images(parts, seed)
    try:
        return {"images": len(images), "features": scorer(images)}
    except MedgainError as error:
        return {"images": len(images), "features": [], "cause": error.problem}


def _earlier(out: Path, protocol: Protocol) -> list[Block]:
    """Return the rows that `out` holds of this comparison.

    Raises:
        ConfigError: it holds something else; names the first difference.
    """
    if not (out / RESULTS_NAME).exists():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ConfigError(f"{out} exists and holds no comparison", "choose another --out")
        return []
    found = read_json(out / RESULTS_NAME)
    if not isinstance(found, dict) or found.get("format_version") != FORMAT_VERSION:
        raise ConfigError(
            f"{out / RESULTS_NAME} is not a comparison of format {FORMAT_VERSION}",
            "choose another --out",
        )
    theirs = found.get("protocol") or {}
    for key, value in protocol.model_dump(mode="json").items():
        if theirs.get(key) != value:
            raise ConfigError(
                f"{out} holds another comparison: its {key} is {theirs.get(key)!r}, not {value!r}",
                "choose another --out, or ask for the same to go on",
            )
    return [row for row in found.get("rows", []) if row.get("status") != "waiting"]


def _refuse_other_settings(out: Path, name: str, job: Job) -> None:
    path = model_folder(out, name) / JOB
    if not path.exists():
        return
    config = read_json(path).get("config")
    if config != job.model_dump(mode="json")["config"]:
        raise ConfigError(
            f"{path.parent} was trained with the settings {config}, not {job.config}",
            f"choose another --out, or remove {path.parent}",
        )


def _is_done(row: Block | None) -> bool:
    return row is not None and row["status"] == "done"


def _described(real: ImageSet, parts: Parts, protocol: Protocol, device: torch.device) -> Block:
    def counts(images: ImageSet) -> dict[str, int]:
        found = images.records["label"].value_counts()
        return {label or "no label": int(found[label]) for label in sorted(found.index)}

    return {
        "format_version": FORMAT_VERSION,
        "medgain": __version__,
        "protocol": protocol.model_dump(mode="json"),
        "set": {
            "name": real.card.name,
            "origin": real.card.origin,
            "modality": real.card.modality,
            "size_px": list(real.size_px),
            "channels": real.channels,
            "groups_known": real.card.groups_known,
            "group_rule": real.card.group_rule,
            "rule": parts.rule,
            "test_used": parts.test_used,
            "train": len(parts.train),
            "train_groups": len(set(parts.train.groups)),
            "train_per_class": counts(parts.train),
            "held_out": len(parts.held_out),
            "held_out_groups": len(set(parts.held_out.groups)),
            "held_out_per_class": counts(parts.held_out),
        },
        "machine": {
            "torch": torch.__version__,
            "cpu_threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else "",
        },
        "metrics": [metric.described() for metric in fidelity_metrics()],
        "neighbours": NEIGHBOURS,
        "splits": SPLITS,
    }


def _write(out: Path, result: Block, rows: list[Block]) -> None:
    whole = {**result, "rows": rows, "ranking": ranking(rows)}
    said = {
        "headline": headline(whole),
        "sentences": sentences(whole),
        "notes": notes(whole),
    }
    write_json(out / RESULTS_NAME, {**whole, **said})
