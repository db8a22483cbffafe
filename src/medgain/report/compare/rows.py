"""Rows of a comparison's tables, and strips on one scale for all generators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from medgain.assess.compare.wording import score_words
from medgain.report.charts.svg import MARKS
from medgain.runtime.text import NONE, count, duration, figure, number

Block = dict[str, Any]
TRAINING_IMAGES = "training images"
RANKED_BY = "kd"
# what these say, KD, density and coverage say already; they stand in results.json
LEFT_OUT = ("frechet", "improved_precision", "improved_recall")
_HEIGHT = 24
_EDGE = 3.0
_Z = 1.96


class DistanceScale:
    """Places KDs of very different size on one strip: linear near 0, logarithmic beyond.

    Args:
        scores: all that is shown; the nulls' spread is where the logarithm begins.
    """

    def __init__(self, scores: Sequence[Block]) -> None:
        spread = max((_Z * score["null_sd"] + abs(score["null"]) for score in scores), default=0.0)
        self.unit = max(spread, 1e-6)
        ends = [self._bend(score[key]) for score in scores for key in ("ci_low", "ci_high")]
        self.low, self.high = min([*ends, self._bend(-self.unit)]), max([*ends, 1.0])

    def __call__(self, value: float) -> float:
        """Return the place of `value` in per cent of the strip's width."""
        share = (self._bend(value) - self.low) / (self.high - self.low)
        return round(_EDGE + share * (100 - 2 * _EDGE), 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Return (place, label) of 0 and of powers of ten that lie within the strip."""
        most = math.sinh(self.high) * self.unit
        powers = range(math.ceil(math.log10(2 * self.unit)), math.floor(math.log10(most)) + 1)
        values = [0.0, *(10.0**power for power in powers)]
        return [(self(value), f"{value:g}") for value in values]

    def _bend(self, value: float) -> float:
        return math.asinh(value / self.unit)


def distance_strip(score: Block, scale: DistanceScale) -> Markup:
    """Return a strip: the null as a band (±1.96 sd), the KD with its interval as a mark."""
    null, sd = float(score["null"]), float(score["null_sd"])
    low, high = scale(null - _Z * sd), scale(null + _Z * sd)
    middle = _HEIGHT / 2
    return Markup(
        '<svg class="strip c2" height="{h}" aria-hidden="true">'
        '<rect x="{b}%" width="{w}%" y="0" height="100%" class="nullband"/>'
        '<line x1="{l}%" x2="{r}%" y1="{m}" y2="{m}" class="interval"/>'
        '<svg x="{v}%" y="{m}" overflow="visible"><path d="{d}" class="mark"/></svg></svg>'
    ).format(
        h=_HEIGHT,
        b=low,
        w=max(round(high - low, 2), 0.6),
        l=scale(score["ci_low"]),
        r=scale(score["ci_high"]),
        m=middle,
        v=scale(score["value"]),
        d=MARKS["diamond"],
    )


def ruler(scale: DistanceScale) -> Markup:
    """Return the ruler below the strips."""
    parts = [
        Markup('<text x="{}%" y="12" text-anchor="middle">{}</text>').format(place, label)
        for place, label in scale.ticks()
    ]
    return Markup('<svg class="strip ruler" height="16" aria-hidden="true">{}</svg>').format(
        Markup("").join(parts)
    )


def shown_metrics(result: Block) -> list[Block]:
    """Return the registered metrics that have a column: KD, then every other not left out."""
    known = [metric for metric in result["metrics"] if metric["name"] not in LEFT_OUT]
    return sorted(known, key=lambda metric: metric["name"] != RANKED_BY)


def score_rows(result: Block, feature: int = 0, label: str | None = None) -> Block:
    """Return the table of one extractor and scope: rows, ruler, N, the null.

    Generators stand in the order of KD, then those without a score, then the training images.
    """
    entries = [
        (row["model"], _scope(row.get("features"), feature, label)) for row in result["rows"]
    ]
    entries.sort(key=lambda entry: entry[1].get("scores", {}).get("kd", {}).get("value", math.inf))
    reference = _scope(result["training_images"]["features"], feature, label)
    entries.append((TRAINING_IMAGES, reference))
    scored = [scope["scores"] for _, scope in entries if "scores" in scope]
    if not scored:
        return {"rows": [], "ruler": "", "n": NONE, "null": []}
    scale = DistanceScale([scores["kd"] for scores in scored])
    first = next(scope for _, scope in entries if "scores" in scope)
    null = [
        (metric["label"], f"{figure(score['null'], score['null_sd'])}"
         f" ± {figure(score['null_sd'], score['null_sd'])}")
        for metric in shown_metrics(result)
        for score in [first["scores"][metric["name"]]]
    ]  # fmt: skip
    controls = {row["model"] for row in result["rows"] if row.get("control")}
    rows = []
    for name, scope in entries:
        scores = scope.get("scores")
        if scores is None:
            continue
        row: Block = {"name": name, "reference": name == TRAINING_IMAGES or name in controls}
        row["kd"] = score_words(scores[RANKED_BY])
        row["others"] = [score_words(scores[one["name"]]) for one in shown_metrics(result)[1:]]
        rows.append(row | {"strip": distance_strip(scores["kd"], scale)})
    return {
        "rows": rows,
        "others": shown_metrics(result)[1:],
        "ruler": ruler(scale),
        "n": count(first["n"]),
        "null": null,
    }


def scopes(result: Block) -> list[Block]:
    """Return a view per extractor: identity, the table of all images, and one per class."""
    found = []
    blocks: list[Block] = next(
        (row["features"] for row in result["rows"] if row["status"] == "done"), []
    )
    for number_, block in enumerate(blocks):
        labels = [scope["label"] for scope in block["scopes"]]
        tables = [
            {"title": "All images" if label is None else f"Class {label}"}
            | score_rows(result, number_, label)
            for label in labels
        ]
        found.append({"name": block["name"], "identity": block["identity"], "tables": tables})
    return found


def cost_rows(result: Block) -> list[Block]:
    """Return what each generator took, in the order of the ranking, and why others failed."""
    order = {name: place for place, name in enumerate(result["ranking"])}
    rows = []
    for row in sorted(result["rows"], key=lambda row: order.get(row["model"], math.inf)):
        if row["status"] != "done":
            cause = row.get("cause", "not trained yet")
            rows.append({"name": row["model"], "cause": cause, "remedy": row.get("remedy", "")})
            continue
        cost = row["cost"]
        drawn = number(cost["drawing_seconds"]) or 0.0
        rows.append(
            {
                "name": row["model"],
                "cause": "",
                "time": duration(cost["seconds"]),
                "kimg": f"{cost['images_seen'] / 1000:.1f}",
                "speed": speed(cost),
                "steps": count(cost["steps"]),
                "memory": count(cost["peak_memory_mb"]),
                "energy": energy(cost),
                "drawing": duration(100 * drawn / max(cost["drawn"], 1)),
                "models": row["models"],
                "precision": cost["precision"] or NONE,
            }
        )
    return rows


def speed(cost: Block) -> str:
    """Return images shown per second of training."""
    spent = number(cost["seconds"]) or 0.0
    return f"{cost['images_seen'] / spent:,.0f}" if spent else NONE


def energy(cost: Block) -> str:
    """Return the energy of training in Wh and what tells it, or a dash."""
    used = number(cost["energy_wh"])
    return NONE if used is None else f"{used:.3g} Wh ({cost['energy_source']})"


def _scope(features: list[Block] | None, feature: int, label: str | None) -> Block:
    if not features:
        return {}
    same = [scope for scope in features[feature]["scopes"] if scope["label"] == label]
    return same[0] if same else {}
