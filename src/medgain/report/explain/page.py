"""Writes explain.html: what a discriminator looks at, as one file that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medgain.assess.explain.result import (
    EXPLAIN_FILE,
    DiscriminatorResult,
    ExplainResult,
    FilterResult,
    FilterTile,
    LayerResult,
)
from medgain.assess.explain.run import PICTURES_FILE
from medgain.report.explain.pictures import Outline, TilePictures, tile_pictures
from medgain.report.shared.pictures import load_arrays
from medgain.report.shared.record_page import Banner, RecordPage
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS
from medgain.runtime.text import MINUS, THIN, count, decimals, listing, percent, plural

PAGE_NAME = "explain.html"
PRIVATE = "This page shows training images: do not publish it."
_PAGE = RecordPage(
    source=EXPLAIN_FILE,
    record=ExplainResult,
    name=PAGE_NAME,
    remedy="run medgain generator explain again with --overwrite",
    template="explain/explain.html.j2",
    styles=("shared/style.css", "explain/explain.css"),
)


@dataclass(frozen=True)
class TileView:
    """An image whole, and enlarged near the place with gradients; data URIs."""

    image: str
    near: str
    box: Outline | None
    near_box: Outline | None
    label: str
    alt: str


@dataclass(frozen=True)
class TileGroup:
    """The real or the synthetic images that excite a filter, and its mean strongest response."""

    origin: str
    tiles: list[TileView]
    mean: str


@dataclass(frozen=True)
class FilterView:
    """A filter: what it adds, what it speaks for, and the images that excite it."""

    name: str
    added: str
    speaks_for: str
    edge: str
    groups: list[TileGroup]


@dataclass(frozen=True)
class LayerView:
    """A layer and its strongest filters."""

    title: str
    name: str
    line: str
    gain: str
    filters: list[FilterView]


@dataclass(frozen=True)
class PartView:
    """What one discriminator looks at."""

    label: str
    title: str
    layers: list[LayerView]


@dataclass(frozen=True)
class ExplainPage:
    """Everything that the template shows."""

    title: str
    byline: str
    version: str
    banners: list[Banner]
    headline: str
    sentences: list[str]
    parts: list[PartView]
    pictured: bool
    facts: list[tuple[str, str]]


def write_explain_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of what `medgain generator explain` left in `folder`; return its path.

    Args:
        folder: holds explain.json, and explain.npz for the pictures.
        out: where to write; `explain.html` in the folder if None.

    Raises:
        MedgainError: there is no explain.json, it is damaged, or of another format.
    """
    return _PAGE.write(folder, out, content)


def content(result: ExplainResult, folder: Path) -> ExplainPage:
    """Return everything that the template shows."""
    pictures, shown = tile_pictures(result.parts, load_arrays(folder / PICTURES_FILE))
    parts = [
        _part(part, {t: p for (n, t), p in pictures.items() if n == number}, shown)
        for number, part in enumerate(result.parts)
    ]
    kimg = result.parts[0].trained_kimg
    trained = "" if kimg is None else f" · {count(1000 * kimg)} images seen"
    return ExplainPage(
        title=result.run,
        byline=f"{result.generator} · trained on {result.parts[0].trained_on}{trained}",
        version=result.medgain,
        banners=banners(result),
        headline=headline(result.parts),
        sentences=sentences(result.parts),
        parts=parts,
        pictured=bool(pictures),
        facts=facts(result),
    )


def banners(result: ExplainResult) -> list[Banner]:
    """Return what must be seen before any number."""
    found = [Banner("warn", "Private", PRIVATE)]
    if result.set.origin == "phantom":
        found.append(Banner("phantom", "PHANTOM", PHANTOM))
    if not result.set.groups_known:
        found.append(Banner("warn", "Patients", UNKNOWN_PATIENTS, result.set.group_rule))
    return found


def headline(parts: list[DiscriminatorResult]) -> str:
    """Return what the discriminators know."""
    shares = [
        f"{percent(round(part.scores.auroc, 2))} of pairs"
        + (f" ({part.label})" if part.label else "")
        for part in parts
    ]
    return (
        "Shown a real and a synthetic image, the discriminator gives the real one the higher"
        f" score in {listing(shares)}."
    )


def sentences(parts: list[DiscriminatorResult]) -> list[str]:
    """Return what else there is to say of each discriminator."""
    said = []
    for part in parts:
        about = f"{part.label}: " if part.label else ""
        few = min(part.layers, key=lambda layer: layer.half_from / layer.filters_in_all)
        if few.filters_in_all > 1:
            said.append(
                f"{about}half of what the filters of layer {few.number} add to the difference"
                f" comes from {few.half_from} of {few.filters_in_all}."
            )
        filters = [one for layer in part.layers for one in layer.filters]
        against = sum(one.speaks_for == "synthetic" for one in filters)
        said.append(
            f"{about}{against} of the {plural(len(filters), 'filter')} shown look for what is"
            f" synthetic, {len(filters) - against} for what is real."
        )
        if not part.trained_on_these:
            said.append(
                f"{about}these are not the very images that it was trained on: it may score them"
                " lower than those."
            )
    several = any(part.label for part in parts)
    return said if several else [line[0].upper() + line[1:] for line in said]


def facts(result: ExplainResult) -> list[tuple[str, str]]:
    """Return what was looked into, as pairs."""
    about = result.set
    height, width = about.size_px
    found = [
        ("set", about.name),
        ("images", f"{width} × {height} px, {'grey' if about.channels == 1 else 'colour'}"),
    ]
    for part in result.parts:
        label = f" ({part.label})" if part.label else ""
        scores = part.scores
        found += [
            (f"real{label}", part.real),
            (f"synthetic{label}", part.synthetic),
            (
                f"mean score{label}",
                f"real {signed(scores.real)}, synthetic {signed(scores.synthetic)}",
            ),
        ]
    return [*found, ("seed", str(result.request.seed))]


def signed(value: float) -> str:
    """Return a number with its sign, in three significant digits."""
    text = f"{abs(value):.3g}"
    return (MINUS if value < 0 else "+") + text


def _part(part: DiscriminatorResult, pictures: dict[int, TilePictures], shown: int) -> PartView:
    named = len(part.labels) > 1
    return PartView(
        label=part.label,
        title=part.label or listing(part.labels) or "all images",
        layers=[
            _layer(layer, pictures, shown, part.scores.difference, named) for layer in part.layers
        ],
    )


def _layer(
    layer: LayerResult,
    pictures: dict[int, TilePictures],
    shown: int,
    difference: float,
    named: bool,
) -> LayerView:
    height, width = layer.size_px
    field = [max(one.field_px[axis] for one in layer.filters) for axis in (0, 1)]
    places = plural(height * width, "place")
    what = f"{plural(layer.filters_in_all, 'filter')} of {layer.kernel_px} × {layer.kernel_px}"
    alone = layer.filters_in_all == 1
    return LayerView(
        title=f"Layer {layer.number}",
        name=layer.name,
        line=f"{what} at {places} ({width} × {height}), each seeing up to"
        f" {field[1]} × {field[0]}{THIN}px."
        if layer.kernel_px
        else "The output of all layers.",
        gain="" if alone else _gain(layer),
        filters=[
            FilterView(
                name="The score" if alone else f"Filter {one.filter}",
                added=_added(one, difference),
                speaks_for=one.speaks_for,
                edge=_edge(one, height, width),
                groups=_groups(one, pictures, named),
            )
            for one in layer.filters[:shown]
        ],
    )


def _gain(layer: LayerResult) -> str:
    return (
        f"{count(layer.helpful)} of them add to the difference between real and synthetic,"
        f" {count(layer.half_from)} of these half of it."
    )


def _added(one: FilterResult, difference: float) -> str:
    part_of = f" ({percent(one.contribution / difference)})" if difference > 0 else ""
    return f"adds {signed(one.contribution)}{part_of}"


def _groups(one: FilterResult, pictures: dict[int, TilePictures], named: bool) -> list[TileGroup]:
    groups = []
    for origin, mean in (
        ("real", one.strongest_mean.real),
        ("synthetic", one.strongest_mean.synthetic),
    ):
        tiles = [
            TileView(
                **vars(pictures[tile.tile]),
                label=tile.label if named else "",
                alt=_alt(one, tile),
            )
            for tile in one.images
            if tile.origin == origin and tile.tile in pictures
        ]
        groups.append(TileGroup(origin, tiles, decimals(mean, 2)))
    return groups


def _edge(one: FilterResult, height: int, width: int) -> str:
    """Return how often the strongest place is at the edge, and how many places are there."""
    inner = max(height - 2, 0) * max(width - 2, 0)
    if not inner:
        return ""
    places = 1 - inner / (height * width)
    images = percent(round(one.at_edge, 2))
    return f"strongest at the edge in {images} of images; {percent(round(places, 2))} of places are"


def _alt(one: FilterResult, tile: FilterTile) -> str:
    top, left, bottom, right = tile.box
    what = tile.image_id if tile.origin == "real" else "synthetic image"
    return (
        f"{what}: filter {one.filter} is excited most by rows {top} to {bottom}, columns {left}"
        f" to {right}"
    )
