"""The tables of the score page: scores with their nulls, two-sample tests, training, sets."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from medgain.assess.score.wording import figure
from medgain.report.charts.svg import MARKS
from medgain.report.shared.wording import MINUS, NONE, count, number, p_value

Block = dict[str, Any]
HEIGHT = 24
_EDGE = 4.0
_Z = 1.96
_TRAINING_ROWS = (
    ("tstr", "synthetic images", "real images", "TSTR"),
    ("trtr", "real images, as many", "real images", "reference"),
    ("trts", "real images, as many", "synthetic images", "TRTS"),
)


def extractor_views(result: Block) -> list[Block]:
    """Return a block per extractor: identity, then a table for the whole set and each class."""
    views = []
    for block in result["features"]:
        facts = [block["identity"], f"{count(block['dimensions'])} numbers per image"]
        auroc = number(block.get("details", {}).get("validation_auroc"))
        if auroc is not None:
            facts.append(f"AUROC {auroc:.3f} on its own validation images")
        views.append(
            {
                "name": block["name"],
                "facts": facts,
                "scopes": [_scope(scope, result["metrics"]) for scope in block["scopes"]],
            }
        )
    return views


def _scope(scope: Block, metrics: list[Block]) -> Block:
    title = "All images" if scope["label"] is None else f"Class {scope['label']}"
    if "scores" not in scope:
        return {"title": title, "reason": scope["reason"], "rows": [], "n": NONE}
    rows = []
    for metric in metrics:
        score = scope["scores"][metric["name"]]
        spread = score["null_sd"]
        rows.append(
            {
                "name": metric["label"],
                "lower": not metric["higher_is_better"],
                "summary": metric["summary"],
                "value": figure(score["value"], spread),
                "interval": f"{figure(score['ci_low'], spread)} to"
                f" {figure(score['ci_high'], spread)}",
                "null": f"{figure(score['null'], spread)} ± {figure(spread, spread)}",
                "worse": score["worse_than_null"],
                "word": "worse" if score["worse_than_null"] else "as real",
                "strip": score_strip(score),
            }
        )
    return {"title": title, "reason": "", "rows": rows, "n": count(scope["n"])}


def score_strip(score: Block) -> Markup:
    """Return a strip: the null as a band (±1.96 sd), the score with its interval as a mark."""
    null, sd = float(score["null"]), float(score["null_sd"])
    band = null - _Z * sd, null + _Z * sd
    ends = [*band, score["ci_low"], score["ci_high"], score["value"]]
    low, high = min(ends), max(ends)
    width = (high - low) or 1.0

    def at(value: float) -> float:
        return round(_EDGE + (value - low) / width * (100 - 2 * _EDGE), 2)

    middle = HEIGHT / 2
    return Markup(
        '<svg class="strip c2" height="{h}" aria-hidden="true">'
        '<rect x="{b}%" width="{w}%" y="0" height="100%" class="nullband"/>'
        '<line x1="{n}%" x2="{n}%" y1="0" y2="100%" class="zero"/>'
        '<line x1="{l}%" x2="{r}%" y1="{m}" y2="{m}" class="interval"/>'
        '<svg x="{v}%" y="{m}" overflow="visible"><path d="{d}" class="mark"/></svg></svg>'
    ).format(
        h=HEIGHT,
        b=at(band[0]),
        w=max(round(at(band[1]) - at(band[0]), 2), 0.6),
        n=at(null),
        l=at(score["ci_low"]),
        r=at(score["ci_high"]),
        m=middle,
        v=at(score["value"]),
        d=MARKS["diamond"],
    )


def two_sample_rows(result: Block) -> list[Block]:
    """Return a row per classifier two-sample test."""
    tests = [
        (f"logistic regression on {block['name']}", scope["label"], scope["two_sample"])
        for block in result["features"]
        for scope in block["scopes"]
    ]
    tests.append(("small CNN on the pixels", None, result["pixel_test"]))
    rows = []
    for how, label, test in tests:
        row: Block = {"how": how, "where": label or "all images", "reason": test.get("reason", "")}
        if not row["reason"]:
            row |= {
                "auroc": f"{test['auroc']:.3f}",
                "auroc_interval": f"{test['auroc_low']:.3f} to {test['auroc_high']:.3f}",
                "accuracy": f"{test['accuracy']:.3f}",
                "accuracy_interval": f"{test['accuracy_low']:.3f} to {test['accuracy_high']:.3f}",
                "p": p_value(test["p_value"]),
                "p_rule": test["p_rule"],
                "n": count(test["n"]),
            }
        rows.append(row)
    return rows


def training_view(block: Block) -> Block:
    """Return the table of TSTR, its reference and its mirror."""
    if "reason" in block:
        return {"reason": block["reason"]}
    rows = [
        {
            "trained": trained,
            "tested": tested,
            "name": name,
            "auroc": _measured(block[key]["auroc"]),
            "balanced": _measured(block[key]["balanced_accuracy"]),
        }
        for key, trained, tested, name in _TRAINING_ROWS
    ]
    per_class = ", ".join(f"{count(n)} {label}" for label, n in block["per_class"].items())
    return {
        "reason": "",
        "rows": rows,
        "gap": _points(block["gap"]["auroc"]),
        "balanced_gap": _points(block["gap"]["balanced_accuracy"]),
        "images": f"{count(block['images'])} ({per_class})",
        "repeats": count(block["repeats"]),
        "steps": count(block["steps"]),
        "model": block["model"],
        "tested_real": count(block["tested_real"]),
        "tested_synthetic": count(block["tested_synthetic"]),
    }


def set_facts(result: Block) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what the two sets are, as (title, pairs)."""
    real, synthetic = result["real"], result["synthetic"]
    height, width = real["size_px"]
    kind = "grey" if real["channels"] == 1 else "colour"
    made = synthetic["made_by"] or {}
    real_pairs = [
        ("name", real["name"]),
        ("origin", real["origin"]),
        ("held out", f"{count(real['held_out'])} images of {count(real['groups'])} groups"),
        ("by class", _classes(real["per_class"])),
        ("compared", count(real["compared"])),
        ("to train on", count(real["train"])),
        ("division", real["rule"]),
        ("groups", real["group_rule"]),
        ("images", f"{width} × {height} px, {kind}"),
        ("fingerprint", real["fingerprint"][:16]),
    ]
    synthetic_pairs = [
        ("name", synthetic["name"]),
        ("origin", synthetic["origin"]),
        ("images", count(synthetic["images"])),
        ("by class", _classes(synthetic["per_class"])),
        ("compared", count(synthetic["compared"])),
        ("generator", str(made.get("generator", NONE))),
        ("trained on", count(made.get("training_images"))),
        ("fingerprint", synthetic["fingerprint"][:16]),
    ]
    return [("Real", real_pairs), ("Synthetic", synthetic_pairs)]


def _classes(per_class: dict[str, int]) -> str:
    return ", ".join(f"{label} {count(n)}" for label, n in per_class.items())


def _measured(block: Block) -> tuple[str, str]:
    low, high = number(block["ci_low"]), number(block["ci_high"])
    if low is None or high is None:
        return f"{block['mean']:.3f}", ""
    return f"{block['mean']:.3f}", f"{max(low, 0.0):.3f} to {min(high, 1.0):.3f}"


def _points(block: Block) -> tuple[str, str]:
    def signed(value: float) -> str:
        return f"{MINUS if value < 0 else '+'}{abs(100 * value):.1f}"

    low, high = number(block["ci_low"]), number(block["ci_high"])
    bounds = "" if low is None or high is None else f"{signed(low)} to {signed(high)}"
    return signed(block["mean"]), bounds
