"""The data of a study: opened, guarded against leaks, grouped, and written down once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from medgain.imageset import leaks
from medgain.imageset.imageset import Card, ImageSet
from medgain.imageset.parts import official_split
from medgain.phantoms import PHANTOMS
from medgain.runtime.errors import LeakError
from medgain.runtime.files import atomic_folder, read_json
from medgain.runtime.records import write_record
from medgain.study.cells import Fold, FoldRows, list_folds, split_fold
from medgain.study.folder import StudyFolder
from medgain.study.keys import digest
from medgain.study.plan.plan import HoldOut, Official, PhantomSource, Plan
from medgain.study.plan.suitability import check_suits
from medgain.study.records.dataset import (
    ClassCount,
    DatasetRecord,
    ExternalSet,
    FoldParts,
    HeldOutTest,
    LeakCheck,
    PreparedRecord,
)


@dataclass(frozen=True)
class Prepared:
    """What cells work on.

    Args:
        images: the data set; its groups hold near-duplicates together.
        banned: ids of images that the leak guard keeps out of training and validation.
        external: sets that are scored only, by name.
        key: hash of all that; part of every cell's key.
    """

    images: ImageSet
    banned: frozenset[str]
    external: dict[str, ImageSet]
    key: str
    _splits: dict[tuple[object, ...], FoldRows] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def split(self, plan: Plan, where: Fold) -> FoldRows:
        """Return the parts of a fold; each fold is divided once, however often it is asked for."""
        asked = plan.seed, plan.protocol.model_dump_json(), str(plan.class_fractions), where
        if asked not in self._splits:
            self._splits[asked] = split_fold(plan, self.images, where, self.banned)
        return self._splits[asked]


def prepare(plan: Plan, folder: StudyFolder) -> Prepared:
    """Open the plan's data, check them for leaks, and write what was found.

    Raises:
        LeakError: images or groups leak and the protocol says `on_leak: error`.
        ConfigError: the plan asks for something that these data can't give.
    """
    path = _materialise(plan, folder)
    images = ImageSet.open(path)
    external = {name: ImageSet.open(where) for name, where in plan.external.items()}
    check_suits(plan, images, external)
    duplicates = leaks.find_duplicates(images)
    grouped = leaks.merge_near_duplicates_into_groups(images, duplicates)
    found, banned = _guard(plan, grouped, external, duplicates)
    key = digest(
        data=grouped.fingerprint(),
        banned=sorted(banned),
        external={name: part.fingerprint() for name, part in external.items()},
    )
    with atomic_folder(folder.prepared, overwrite=True) as temporary:
        grouped.write_description(temporary)
        write_record(
            temporary / folder.prepared_file.name,
            PreparedRecord(path=str(path), banned=sorted(banned), external=plan.external, key=key),
        )
    prepared = Prepared(grouped, banned, external, key)
    write_record(
        folder.dataset_file,
        _describe(plan, path, images, prepared, duplicates, found),
    )
    return prepared


def load_prepared(folder: StudyFolder) -> Prepared:
    """Open what `prepare` wrote; images stay on disk until read."""
    info = folder.read_prepared()
    raw = ImageSet.open(info.path)
    records = pd.read_parquet(folder.prepared / "records.parquet")
    card = Card.model_validate(read_json(folder.prepared / "card.json"))
    images = ImageSet(raw.images, records, card, raw.masks)
    external = {name: ImageSet.open(path) for name, path in info.external.items()}
    return Prepared(images, frozenset(info.banned), external, info.key)


def _materialise(plan: Plan, folder: StudyFolder) -> Path:
    """Return the path of the plan's image set, drawing a phantom first where it names one."""
    source = plan.dataset
    if not isinstance(source, PhantomSource):
        return Path(source).resolve()
    path = folder.path / f"phantom-{digest(source=source.model_dump())}"
    if not path.exists():
        made = PHANTOMS.get(source.phantom).make(
            source.count, size_px=source.size_px, seed=source.seed, **source.options
        )
        made.save(path)
    return path.resolve()


def _guard(
    plan: Plan,
    images: ImageSet,
    external: dict[str, ImageSet],
    duplicates: leaks.DuplicateReport,
) -> tuple[list[leaks.Leak], frozenset[str]]:
    """Return the leaks of the set and into the external sets, and the ids to keep out of training.

    Raises:
        LeakError: there are leaks and the protocol says to refuse them, or no removal from
            training fixes them.
    """
    pool, parts = np.arange(len(images)), {}
    if isinstance(plan.protocol, Official):
        pool, test = official_split(images)
        parts = {"test": test}
    checks = [(images, {"pool": pool, **parts}, duplicates)]
    for name, part in external.items():
        joined = ImageSet.join([images, part])
        seats = {"pool": pool, name: np.arange(len(images), len(joined))}
        checks.append((joined, seats, leaks.find_duplicates(joined)))
    found: list[leaks.Leak] = []
    dropped: set[int] = set()
    for checked, seats, known in checks:
        here = leaks.check_split(checked, seats, known)
        if checked is not images:  # two hospitals may both have a patient 1
            here = [leak for leak in here if leak.kind != "group" and len(set(leak.parts)) > 1]
        if plan.protocol.on_leak == "error":
            leaks.raise_if_leaking(here)
        cleaned, _ = leaks.drop_leaks(checked, seats, here)
        dropped |= set(pool.tolist()) - set(cleaned["pool"].tolist())
        found += here
    ids = images.records["image_id"]
    return found, frozenset(str(ids.iloc[position]) for position in dropped)


def _describe(
    plan: Plan,
    path: Path,
    images: ImageSet,
    prepared: Prepared,
    duplicates: leaks.DuplicateReport,
    found: list[leaks.Leak],
) -> DatasetRecord:
    counts = (
        prepared.images.records.groupby(["split", "label"], sort=True)
        .agg(images=("image_id", "size"), groups=("group", "nunique"))
        .reset_index()
    )
    parts = [
        _describe_part(plan, prepared, where)
        for fraction in plan.fractions
        for where in list_folds(plan, fraction)
    ]
    return DatasetRecord(
        path=str(path),
        fingerprint=images.fingerprint(),
        card=images.card,
        images=len(images),
        size_px=images.size_px,
        channels=images.channels,
        counts=[ClassCount.model_validate(row) for row in counts.to_dict("records")],
        leak_check=LeakCheck(
            exact_groups=len(duplicates.identical),
            near_pairs=len(duplicates.near),
            leaks=[leak.describe() for leak in found],
            on_leak=plan.protocol.on_leak,
            dropped=sorted(prepared.banned),
            statement=_statement(prepared, duplicates, found),
        ),
        test_part=_describe_test_part(plan, prepared, parts),
        parts=parts,
        external=[
            ExternalSet(
                name=name,
                path=plan.external[name],
                fingerprint=part.fingerprint(),
                images=len(part),
                card=part.card,
            )
            for name, part in prepared.external.items()
        ],
    )


def _statement(
    prepared: Prepared, duplicates: leaks.DuplicateReport, found: list[leaks.Leak]
) -> str:
    text = (
        f"{len(duplicates.identical)} sets of identical images and {len(duplicates.near)} pairs of"
        " near-identical ones were found; each is held in one group. "
    )
    if found:
        text += (
            f"{len(found)} leaks were found and {len(prepared.banned)} images kept out of"
            " training and validation because of them. "
        )
    text += "No group, identical or near-identical image stands in two parts of any split."
    if not prepared.images.card.groups_known:
        text += " Patient ids unknown: leakage between images of one patient cannot be excluded."
    return text


def _describe_test_part(
    plan: Plan, prepared: Prepared, parts: list[FoldParts]
) -> HeldOutTest | None:
    """Return what a balanced test part was to hold and what it holds; None of other protocols."""
    if not isinstance(plan.protocol, HoldOut):
        return None
    asked, taken = plan.protocol.per_class, parts[0].test_images // len(prepared.images.classes)
    text = f"The held-out test part has {taken} images of each class, in whole groups."
    if taken < asked:
        text += (
            f" {asked} were asked for: at most half of the rarest class's images are held out, and"
            " no group is divided."
        )
    return HeldOutTest(test=plan.protocol.test, asked=asked, per_class=taken, statement=text)


def _describe_part(plan: Plan, prepared: Prepared, where: Fold) -> FoldParts:
    split = prepared.split(plan, where)
    groups = prepared.images.groups
    labels = prepared.images.records["label"].to_numpy(dtype=object)
    counts: dict[str, int] = {}
    members: dict[str, set[str]] = {}
    for name, rows in vars(split).items():
        members[name] = set(groups[rows])
        counts[f"{name}_images"] = len(rows)
        counts[f"{name}_groups"] = len(members[name])
    shared = (members["train"] | members["validation"]) & members["test"]
    if shared or members["train"] & members["validation"]:
        raise LeakError(
            f"fold {where} shares groups between its parts ({sorted(shared)[:5]})",
            "please report this: splits must never do it",
        )
    masks, names = prepared.images.masks, prepared.images.card.mask_classes
    per_class = {
        label: int((labels[split.train] == label).sum()) for label in prepared.images.classes
    }
    if masks is not None and not prepared.images.classes:  # images in which a class is marked
        per_class = {
            name: int((masks[split.train] == code).any(axis=(1, 2)).sum())
            for code, name in enumerate(names, start=1)
        }
    return FoldParts(
        fraction=where.fraction,
        fold=where.fold,
        repeat=where.repeat,
        train_per_class=per_class,
        **counts,
    )
