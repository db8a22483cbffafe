"""Make a release: clear the set, write its images, say what they are."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import numpy as np

from medgain.assess.audit.result import AuditResult
from medgain.imageset.imageset import ImageSet, content_hash
from medgain.release.checksums import write_checksums
from medgain.release.croissant import CROISSANT, croissant
from medgain.release.datasheet import (
    DATASHEET,
    Contents,
    Datasheet,
    describe,
    generators_used,
    public,
)
from medgain.release.fidelity import Fidelity
from medgain.release.formats import FileFormat, ImageContext, ReleaseContext, open_format
from medgain.release.gate import Clearance, ReleaseRefused, clear
from medgain.release.licences import resolve_licence
from medgain.release.privacy import LEFT_OUT, find_private, private_texts
from medgain.release.readme import README, render
from medgain.release.table import METADATA, ContentFingerprint, Row, columns, plan_rows, write_table
from medgain.release.wording import STATEMENTS
from medgain.runtime.errors import DataError, MedgainError
from medgain.runtime.files import atomic_folder, write_json
from medgain.runtime.progress import progress
from medgain.runtime.records import write_record


@dataclass(frozen=True)
class Release:
    """A finished release: where it is, what is said of it, and what its publisher should know."""

    folder: Path
    datasheet: Datasheet
    notes: list[str] = field(default_factory=list)


def make_release(
    image_set: ImageSet,
    out: Path | str,
    *,
    audit: AuditResult | None,
    file_format: str = "png",
    licence: str | None = None,
    fidelity: Fidelity | None = None,
    title: str | None = None,
    accept_risk: str | None = None,
    overwrite: bool = False,
) -> Release:
    """Write `image_set` as a folder that can be published, without the images its audit flags.

    Args:
        out: the new folder; atomic: it is there whole or not at all.
        audit: of exactly this set (`medgain.assess.audit.result.read_audit`); phantoms need none.
        file_format: a name of `medgain.release.formats.FORMATS`.
        licence: SPDX identifier; by default the set's own.
        fidelity: what a score found (`medgain.release.fidelity.read_fidelity`).
        accept_risk: why it is released without a passing audit; recorded in the datasheet.
        overwrite: replace an earlier release at `out`; never another folder.

    Raises:
        ReleaseRefused: the set may not be published; says why and what to do.
        ConfigError: unknown format or licence, an empty reason, or pixels the format can't hold.
        DataError: the set's pixels are not those that its records name, or the audit is damaged.
        MedgainError: `out` exists.
    """
    out = Path(out)
    _check_out(out, overwrite)
    writer = open_format(file_format)
    clearance = clear(image_set, audit, accept_risk)
    spdx = resolve_licence(licence, image_set.card.licence)
    writer.check_supported(image_set.channels, 8 * image_set.images.dtype.itemsize)
    private = private_texts(
        image_set, {pair.train_image_id for pair in audit.pairs} if audit else ()
    )
    created = datetime.now(UTC).replace(microsecond=0)
    origin = "phantom" if image_set.card.origin == "phantom" else "synthetic"
    context = ReleaseContext(
        key=uuid.uuid4().hex[:8],
        title=title or _own_title(image_set, private),
        statement=STATEMENTS[origin],
        origin=origin,
        generators=", ".join(dict.fromkeys(one.name for one in generators_used(image_set))),
        created=created,
        intensity=image_set.card.intensity,
    )
    rows = plan_rows(image_set, clearance.keep, writer.suffix, writer.mask_suffix)
    with atomic_folder(out, overwrite=overwrite) as folder:
        fingerprint = _write_images(folder, image_set, clearance.keep, rows, writer, context)
        contents = _contents(image_set, clearance, rows, file_format, fingerprint)
        sheet = describe(
            image_set,
            clearance,
            contents,
            title=context.title,
            licence=spdx,
            fidelity=fidelity,
            release_key=context.key,
            created=created.isoformat(),
            private=private,
        )
        write_table(folder / METADATA, rows, origin)
        write_record(folder / DATASHEET, sheet)
        (folder / README).write_text(render(sheet, writer), encoding="utf-8")
        write_json(folder / CROISSANT, croissant(folder, sheet, writer, columns(rows)))
        _refuse_private(folder, rows, private)
        write_checksums(folder)
    return Release(out, sheet, [*clearance.notes, *_notes(image_set, sheet)])


def _check_out(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not overwrite:
        raise MedgainError(f"{out} exists already", "choose another folder or pass --overwrite")
    empty = out.is_dir() and not any(out.iterdir())
    if not empty and not (out / DATASHEET).is_file():
        raise MedgainError(
            f"{out} is no release, so --overwrite does not replace it", "choose another folder"
        )


def _own_title(image_set: ImageSet, private: set[str]) -> str:
    name = public(image_set.card.name)
    return "synthetic images" if name == LEFT_OUT or find_private(name, private) else name


def _write_images(
    folder: Path,
    image_set: ImageSet,
    keep: Sequence[int],
    rows: Sequence[Row],
    writer: FileFormat,
    context: ReleaseContext,
) -> str:
    """Write the images at `keep` and their masks; return the content's fingerprint."""
    (folder / "images").mkdir()
    if image_set.masks is not None:
        (folder / "masks").mkdir()
    fingerprint = ContentFingerprint()
    with progress("images", len(rows)) as advance:
        for number, (position, row) in enumerate(zip(keep, rows, strict=True), start=1):
            pixels = np.asarray(image_set.images[position])
            _check_pixels(image_set, position, "sha256", pixels)
            one = ImageContext(number, row.group, row.label, context)
            writer.write_image(folder / row.file_name, pixels, one)
            mask = None
            if image_set.masks is not None:
                mask = np.asarray(image_set.masks[position])
                _check_pixels(image_set, position, "mask_sha256", mask)
                writer.write_mask(folder / row.mask_file_name, mask, one)
            fingerprint.add(pixels, row.label, mask)
            advance(1, "")
    return fingerprint.hexdigest()


def _check_pixels(image_set: ImageSet, position: int, column: str, pixels: np.ndarray) -> None:
    """The audit's fingerprint is made of the records' hashes: they must be those of the pixels."""
    records = image_set.records
    if column in records and records[column].iloc[position] != content_hash(pixels):
        raise DataError(
            f"the pixels of image '{records['image_id'].iloc[position]}' are not those that were"
            f" audited ({column} differs)",
            "the set was changed after it was made; sample it again, and audit that",
        )


def _contents(
    image_set: ImageSet,
    clearance: Clearance,
    rows: Sequence[Row],
    file_format: str,
    fingerprint: str,
) -> Contents:
    labels = [row.label for row in rows]
    before = set(image_set.records["label"].astype(str)) - {""}
    named = [
        name for name in dict.fromkeys([*image_set.classes, *sorted(before)]) if name in before
    ]
    groups = len({row.group for row in rows})
    height, width = image_set.size_px
    return Contents(
        images=len(rows),
        left_out=len(image_set) - len(clearance.keep),
        file_format=file_format,
        height_px=height,
        width_px=width,
        channels=cast(Literal[1, 3], image_set.channels),
        bits=cast(Literal[8, 16], 8 * image_set.images.dtype.itemsize),
        modality=public(image_set.card.modality),
        classes={name: labels.count(name) for name in named},
        masks=image_set.masks is not None,
        mask_classes=image_set.card.mask_classes if image_set.masks is not None else [],
        groups=groups if groups < len(rows) else None,
        intensity=image_set.card.intensity,
        content_fingerprint=fingerprint,
    )


def _refuse_private(folder: Path, rows: Sequence[Row], private: set[str]) -> None:
    """The second lock: no file's text holds what may not be published."""
    texts = {name: (folder / name).read_text("utf-8") for name in (README, DATASHEET, CROISSANT)}
    texts["the classes"] = "\n".join({row.label for row in rows})
    for name, text in texts.items():
        found = find_private(text, private)
        if found is not None:
            raise ReleaseRefused(
                f"'{found}', which names a real image, a group or a column's value, would be in"
                f" {name}",
                "rename the set, its classes or --title so that they don't hold it",
            )


def _notes(image_set: ImageSet, sheet: Datasheet) -> list[str]:
    notes = list(sheet.licence.remarks)
    gone = [name for name, count in sheet.contents.classes.items() if not count]
    if gone:
        notes.append(f"no image is left of class {', '.join(repr(name) for name in gone)}")
    if sheet.audit is not None and sheet.audit.training_matches is False:
        notes.append(
            "the audit's training set is not exactly what the generator was trained on: make sure"
            " that it contains it"
        )
    if sheet.origin == "phantom" and sheet.audit is None:
        notes.append("phantoms: no audit needed, nothing was learned from patients")
    return notes
