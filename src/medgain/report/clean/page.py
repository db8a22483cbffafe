"""Writes cleaning.html: what was found in an image set, and what was done, as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medgain.cleaning.detectors.base import Action
from medgain.cleaning.result import (
    CLEANING_FILE,
    CleaningResult,
    CopyTiles,
    ImageTiles,
    KindResult,
    UnreadableFile,
)
from medgain.cleaning.write import PICTURES_FILE
from medgain.report.clean.pictures import Tiles, encode_tiles
from medgain.report.shared.pictures import load_arrays
from medgain.report.shared.record_page import Banner, RecordPage
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.text import count, percent, plural

PAGE_NAME = "cleaning.html"
PRIVATE = "This page shows images of the set: share it as you would share these."
_LISTED = 40
_DONE: dict[Action, str] = {
    "drop": "dropped",
    "flag": "flagged",
    "inpaint": "filled in and flagged",
    "keep": "not looked for",
}
_VIEWS = ("as it is", "marked", "filled in")
_PAGE = RecordPage(
    source=CLEANING_FILE,
    record=CleaningResult,
    name=PAGE_NAME,
    remedy="run medgain clean again with --overwrite",
    template="clean/clean.html.j2",
    styles=("shared/style.css", "score/score.css", "clean/clean.css"),
)


@dataclass(frozen=True)
class Share:
    """In how many images of a class a kind was found."""

    found: str
    share: str


@dataclass(frozen=True)
class KindRow:
    """A row of the table of kinds."""

    kind: str
    summary: str
    found: str
    share: str
    not_judged: str
    by_class: list[Share]
    threshold: str
    score_name: str
    done: str


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI; `mark` frames the copy that counts."""

    uri: str
    alt: str
    mark: bool


@dataclass(frozen=True)
class Block:
    """The pictures of an image, or of copies, with a caption."""

    caption: str
    more: str
    pictures: list[Picture]


@dataclass(frozen=True)
class KindSection:
    """What is shown of one kind."""

    kind: str
    line: str
    blocks: list[Block]
    copies: bool


@dataclass(frozen=True)
class CleanPage:
    """Everything that the template shows."""

    title: str
    byline: str
    version: str
    banners: list[Banner]
    headline: str
    warnings: list[str]
    rows: list[KindRow]
    skipped: list[str]
    classes: list[str]
    kinds: list[KindSection]
    pictured: bool
    unreadable: list[UnreadableFile]
    unreadable_more: int
    facts: list[tuple[str, str]]


def write_clean_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of what `medgain clean` left in `folder`; return its path.

    Args:
        folder: a cleaned set: holds cleaning.json, and cleaning.npz for the pictures.
        out: where to write; `cleaning.html` in the folder if None.

    Raises:
        MedgainError: there is no cleaning.json, it is damaged, or of another format.
    """
    return _PAGE.write(folder, out, content)


def content(result: CleaningResult, folder: Path) -> CleanPage:
    """Return everything that the template shows."""
    pictures = encode_tiles(result.pictures, load_arrays(folder / PICTURES_FILE))
    enabled = [kind for kind in result.kinds if kind.enabled]
    height, width = result.set.size_px
    colour = "grey" if result.set.channels == 1 else "colour"
    return CleanPage(
        title=result.set.name,
        byline=f"{plural(result.images, 'image')} · {width} × {height} px, {colour}",
        version=result.medgain,
        banners=banners(result),
        headline=f"{result.headline}.",
        warnings=[f"{text[0].upper()}{text[1:]}." for text in result.warnings],
        rows=[kind_row(kind, result) for kind in enabled],
        skipped=[f"{kind.kind}: {kind.skipped}." for kind in result.kinds if not kind.enabled],
        classes=list(result.classes),
        kinds=[_section(kind, pictures.get(kind.kind, [])) for kind in enabled if kind.found],
        pictured=bool(pictures) or not any(kind.found for kind in enabled),
        unreadable=result.unreadable_at_import[:_LISTED],
        unreadable_more=max(len(result.unreadable_at_import) - _LISTED, 0),
        facts=facts(result),
    )


def banners(result: CleaningResult) -> list[Banner]:
    """Return what must be seen before any number."""
    found = [Banner("warn", "Images", PRIVATE)]
    if result.set.origin == "phantom":
        found = [Banner("phantom", "PHANTOM", PHANTOM)]
    if not result.set.groups_known:
        found.append(Banner("warn", "Patients", UNKNOWN_PATIENTS, result.set.group_rule))
    return found


def facts(result: CleaningResult) -> list[tuple[str, str]]:
    """Return what was cleaned, as pairs."""
    kept = ", ".join(
        f"{name} {count(counts.kept)} of {count(counts.images)}"
        for name, counts in result.classes.items()
    )
    return [
        ("source", result.source),
        ("fingerprint", result.source_fingerprint[:16]),
        ("groups", result.set.group_rule),
        *([("kept by class", kept)] if kept else []),
        ("groups merged", count(result.merged_groups)),
    ]


def kind_row(kind: KindResult, result: CleaningResult) -> KindRow:
    """Return a kind's row of the table."""
    found, not_judged = kind.found or 0, kind.not_judged or 0
    judged = result.images - not_judged
    by_class = []
    for name in result.classes:
        counts = kind.by_class.get(name)
        by_class.append(
            Share(count(counts.found), percent(counts.found / counts.images))
            if counts
            else Share("0", "")
        )
    return KindRow(
        kind=kind.kind,
        summary=kind.summary,
        found=count(found),
        share=percent(found / judged) if judged else "",
        not_judged=count(not_judged) if not_judged else "",
        by_class=by_class,
        threshold=f"{kind.threshold:g}",
        score_name=kind.score_name,
        done=_DONE[kind.action],
    )


def _section(kind: KindResult, tiles: list[Tiles]) -> KindSection:
    return KindSection(
        kind=kind.kind,
        line=f"{plural(kind.found, 'image')}: {_DONE[kind.action]}."
        f" Score: {kind.score_name}, from {kind.threshold:g} on.",
        blocks=[_block(one) for one in tiles],
        copies=any(isinstance(one.about, CopyTiles) for one in tiles),
    )


def _block(tiles: Tiles) -> Block:
    about = tiles.about
    return (
        _image(about, tiles.uris) if isinstance(about, ImageTiles) else _copies(about, tiles.uris)
    )


def _image(about: ImageTiles, uris: list[str]) -> Block:
    return Block(
        caption=about.image_id,
        more=f"{about.score:.3g}" + ("" if about.kept else " · dropped"),
        pictures=[
            Picture(uri, f"{about.image_id}, {view}", mark=False)
            for uri, view in zip(uris, _VIEWS, strict=False)
        ],
    )


def _copies(about: CopyTiles, uris: list[str]) -> Block:
    hidden = about.copies - len(uris)
    names = ", ".join(about.image_ids)
    labels = f" · {', '.join(about.labels)}" if len(about.labels) > 1 else ""
    return Block(
        caption=f"{names}{labels}",
        more=f"{about.score:.3f} · {about.why}" + (f" · {hidden} more" if hidden else ""),
        pictures=[
            Picture(uri, name, mark=name == about.kept)
            for uri, name in zip(uris, about.image_ids, strict=False)
        ],
    )
