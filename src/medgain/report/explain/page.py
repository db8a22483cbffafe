"""Writes explain.html: what a discriminator looks at, as one file that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medgain.assess.explain.run import FORMAT_VERSION, PICTURES_NAME, RESULT_NAME
from medgain.report.explain.pictures import tile_pictures
from medgain.report.shared.folder_page import FolderPage
from medgain.report.shared.pictures import load_arrays
from medgain.report.shared.wording import MINUS, THIN, count, listing, plural, score, share
from medgain.report.study.setting import PHANTOM, UNKNOWN_PATIENTS

PAGE_NAME = "explain.html"
PRIVATE = "This page shows training images: do not publish it."
Block = dict[str, Any]
_PAGE = FolderPage(
    source=RESULT_NAME,
    name=PAGE_NAME,
    what="an explanation",
    version=FORMAT_VERSION,
    again="run medgain generator explain again",
    damaged="run medgain generator explain again with --overwrite",
    template="explain/explain.html.j2",
    styles=("shared/style.css", "explain/explain.css"),
)


def write_explain_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of what `medgain generator explain` left in `folder`; return its path.

    Args:
        folder: holds explain.json, and explain.npz for the pictures.
        out: where to write; `explain.html` in the folder if None.

    Raises:
        MedgainError: there is no explain.json, it is damaged, or of another format.
    """
    return _PAGE.write(folder, out, content)


def content(result: Block, folder: Path) -> Block:
    """Return everything that the template shows."""
    pictures, shown = tile_pictures(result["parts"], load_arrays(folder / PICTURES_NAME))
    parts = [
        _part(part, {t: p for (n, t), p in pictures.items() if n == number}, shown)
        for number, part in enumerate(result["parts"])
    ]
    kimg = result["parts"][0]["trained_kimg"]
    trained = "" if kimg is None else f" · {count(1000 * kimg)} images seen"
    return {
        "title": result["run"],
        "byline": f"{result['generator']} · trained on {result['parts'][0]['trained_on']}{trained}",
        "version": result["medgain"],
        "banners": banners(result),
        "headline": headline(result["parts"]),
        "sentences": sentences(result["parts"]),
        "parts": parts,
        "pictured": bool(pictures),
        "facts": facts(result),
    }


def banners(result: Block) -> list[dict[str, str]]:
    """Return what must be seen before any number."""
    about = result["set"]
    found = [{"kind": "warn", "title": "Private", "text": PRIVATE, "more": ""}]
    if about["origin"] == "phantom":
        found.append({"kind": "phantom", "title": "PHANTOM", "text": PHANTOM, "more": ""})
    if not about["groups_known"]:
        more = about["group_rule"]
        found.append({"kind": "warn", "title": "Patients", "text": UNKNOWN_PATIENTS, "more": more})
    return found


def headline(parts: list[Block]) -> str:
    """Return what the discriminators know."""
    told = [
        f"{share(round(part['scores']['auroc'], 2))} of pairs"
        + (f" ({part['label']})" if part["label"] else "")
        for part in parts
    ]
    return (
        "Shown a real and a synthetic image, the discriminator gives the real one the higher"
        f" score in {listing(told)}."
    )


def sentences(parts: list[Block]) -> list[str]:
    """Return what else there is to say of each discriminator."""
    said = []
    for part in parts:
        about = f"{part['label']}: " if part["label"] else ""
        few = min(part["layers"], key=lambda layer: layer["half_from"] / layer["filters_in_all"])
        if few["filters_in_all"] > 1:
            said.append(
                f"{about}half of what the filters of layer {few['number']} add to the difference"
                f" comes from {few['half_from']} of {few['filters_in_all']}."
            )
        filters = [one for layer in part["layers"] for one in layer["filters"]]
        against = sum(one["speaks_for"] == "synthetic" for one in filters)
        said.append(
            f"{about}{against} of the {plural(len(filters), 'filter')} shown look for what is"
            f" synthetic, {len(filters) - against} for what is real."
        )
        if not part["trained_on_these"]:
            said.append(
                f"{about}these are not the very images that it was trained on: it may score them"
                " lower than those."
            )
    several = any(part["label"] for part in parts)
    return said if several else [line[0].upper() + line[1:] for line in said]


def facts(result: Block) -> list[tuple[str, str]]:
    """Return what was looked into, as pairs."""
    about, request = result["set"], result["request"]
    height, width = about["size_px"]
    found = [
        ("set", about["name"]),
        ("images", f"{width} × {height} px, {'grey' if about['channels'] == 1 else 'colour'}"),
    ]
    for part in result["parts"]:
        label = f" ({part['label']})" if part["label"] else ""
        scores = part["scores"]
        found += [
            (f"real{label}", part["real"]),
            (f"synthetic{label}", part["synthetic"]),
            (
                f"mean score{label}",
                f"real {signed(scores['real'])}, synthetic {signed(scores['synthetic'])}",
            ),
        ]
    return [*found, ("seed", str(request["seed"]))]


def signed(value: float) -> str:
    """Return a number with its sign, in three significant digits."""
    text = f"{abs(value):.3g}"
    return (MINUS if value < 0 else "+") + text


def _part(part: Block, pictures: dict[int, Block], shown: int) -> Block:
    difference, named = float(part["scores"]["difference"]), len(part["labels"]) > 1
    return {
        "label": part["label"],
        "title": part["label"] or listing(part["labels"]) or "all images",
        "layers": [_layer(layer, pictures, shown, difference, named) for layer in part["layers"]],
    }


def _layer(
    layer: Block, pictures: dict[int, Block], shown: int, difference: float, named: bool
) -> Block:
    height, width = layer["size_px"]
    field = [max(one["field_px"][axis] for one in layer["filters"]) for axis in (0, 1)]
    kernel, places = layer["kernel_px"], plural(height * width, "place")
    what = f"{plural(layer['filters_in_all'], 'filter')} of {kernel} × {kernel}"
    return {
        "title": f"Layer {layer['number']}",
        "name": layer["name"],
        "line": f"{what} at {places} ({width} × {height}), each seeing up to"
        f" {field[1]} × {field[0]}{THIN}px."
        if kernel
        else "What comes of all layers.",
        "gain": "" if layer["filters_in_all"] == 1 else _gain(layer),
        "filters": [
            {
                **_filter(one, pictures, difference, named),
                "name": "The score" if layer["filters_in_all"] == 1 else f"Filter {one['filter']}",
                "edge": _edge(one, height, width),
            }
            for one in layer["filters"][:shown]
        ],
    }


def _gain(layer: Block) -> str:
    return (
        f"{count(layer['helpful'])} of them add to the difference between real and synthetic,"
        f" {count(layer['half_from'])} of these half of it."
    )


def _filter(one: Block, pictures: dict[int, Block], difference: float, named: bool) -> Block:
    added = float(one["contribution"])
    part_of = f" ({share(added / difference)})" if difference > 0 else ""
    groups: list[Block] = []
    for origin in ("real", "synthetic"):
        tiles = [
            {
                **pictures[int(tile["tile"])],
                "label": named and tile["label"],
                "alt": _alt(one, tile),
            }
            for tile in one["images"]
            if tile["origin"] == origin and int(tile["tile"]) in pictures
        ]
        mean = score(one["strongest_mean"][origin], 2)
        groups.append({"origin": origin, "tiles": tiles, "mean": mean})
    return {
        "added": f"adds {signed(added)}{part_of}",
        "speaks_for": one["speaks_for"],
        "groups": groups,
    }


def _edge(one: Block, height: int, width: int) -> str:
    """Return how often the strongest place is at the edge, and how many places are there."""
    inner = max(height - 2, 0) * max(width - 2, 0)
    if not inner:
        return ""
    places = 1 - inner / (height * width)
    images = share(round(one["at_edge"], 2))
    return f"strongest at the edge in {images} of images; {share(round(places, 2))} of places are"


def _alt(one: Block, tile: Block) -> str:
    top, left, bottom, right = tile["box"]
    what = tile["image_id"] if tile["origin"] == "real" else "synthetic image"
    return (
        f"{what}: filter {one['filter']} is excited most by rows {top} to {bottom}, columns {left}"
        f" to {right}"
    )
