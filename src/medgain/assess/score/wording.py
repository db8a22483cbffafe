"""What the scores say, in sentences."""

from __future__ import annotations

import math
from typing import Any

from medgain.metrics.base import find_metric
from medgain.metrics.fidelity.scores import fidelity_metrics

MINUS = "\u2212"
MAIN_SCORES = ("kd", "improved_precision", "improved_recall")  # what a sentence has room for


def figure(value: float | None, spread: float | None = None) -> str:
    """Return a number with the decimals that two digits of its spread need, five digits at most."""
    if value is None or not math.isfinite(value):
        return "–"
    scale = spread if spread and math.isfinite(spread) else abs(value) / 100
    decimals = 3 if scale <= 0 else min(max(1 - math.floor(math.log10(scale)), 0), 6)
    if abs(value) >= 1:
        decimals = min(decimals, max(4 - math.floor(math.log10(abs(value))), 0))
    text = f"{abs(value):,.{decimals}f}"
    return text if float(text.replace(",", "")) == 0 or value >= 0 else MINUS + text


def score_sentence(key: str, score: dict[str, Any]) -> str:
    """Return "KD 0.031 (real-real 0.002 ± 0.001)" with the interval."""
    spread = score["null_sd"]
    value, low, high, null = (
        figure(score[k], spread) for k in ("value", "ci_low", "ci_high", "null")
    )
    beside = f"real-real {null} ± {figure(spread, spread)}"
    return f"{find_metric(key).label} {value} (95 % interval {low} to {high}; {beside})"


def short_score(key: str, score: dict[str, Any]) -> str:
    """Return "KD 0.031 (real-real 0.002 ± 0.001)"."""
    spread = score["null_sd"]
    value, null = figure(score["value"], spread), figure(score["null"], spread)
    return f"{find_metric(key).label} {value} (real-real {null} ± {figure(spread, spread)})"


def scope_sentence(features: str, scope: dict[str, Any]) -> str:
    """Return what one extractor says about one scope: the whole set, or a class."""
    where = "overall" if scope["label"] is None else f"class {scope['label']}"
    if "reason" in scope:
        return f"By {features}, {where}: not scored, for {scope['reason']}."
    scores = scope["scores"]
    metrics = fidelity_metrics()
    worse = [metric.label for metric in metrics if scores[metric.name]["worse_than_null"]]
    main = "; ".join(short_score(key, scores[key]) for key in MAIN_SCORES)
    if not worse:
        verdict = "no score is worse than between two halves of real images"
    elif len(worse) == len(metrics):
        verdict = "every score is worse than between two halves of real images"
    else:
        verdict = f"worse than between two halves of real images in {listing(worse)}"
    return f"By {features}, {where}, N = {scope['n']:,} a side: {verdict}. {main}."


def two_sample_sentence(features: str, test: dict[str, Any]) -> str:
    """Return what a classifier two-sample test found."""
    if "reason" in test:
        return f"Telling real from synthetic by {features}: not tested, for {test['reason']}."
    how = "a small CNN" if features == "pixels" else f"logistic regression on {features}"
    found = (
        f"AUROC {test['auroc']:.3f} ({test['auroc_low']:.3f} to {test['auroc_high']:.3f};"
        f" 0.5 would be guessing), {p_relation(test['p_value'])}, N = {test['n']:,} a side"
    )
    if test["p_value"] >= 0.05:
        return f"Found no way to tell real from synthetic images with {how}: {found}."
    return f"Synthetic images can be told from real ones with {how}: {found}."


def training_sentences(block: dict[str, Any]) -> list[str]:
    """Return what training on synthetic images, and testing on them, found."""
    if "reason" in block:
        return [f"Train on synthetic, test on real: not done, for {block['reason']}."]
    words = {name: _measured(block[name]["auroc"]) for name in ("tstr", "trtr", "trts")}
    gap = block["gap"]["auroc"]
    return [
        f"Trained on {block['images']:,} synthetic images alone, a classifier reaches AUROC"
        f" {words['tstr']} on held-out real images; trained on as many real ones in as many"
        f" steps, {words['trtr']}. Difference {_points(gap)}.",
        f"The classifier trained on real images reaches AUROC {words['trts']} on the synthetic"
        f" ones ({block['trtr']['auroc']['mean']:.3f} on real ones): how well their labels fit.",
    ]


def consistency_sentences(block: dict[str, Any] | None, *, by_class: bool = True) -> list[str]:
    """Return how well synthetic images fit their masks; nothing for sets without masks."""
    if block is None:
        return []
    if "reason" in block:
        return [f"Whether images fit their masks: not checked, for {block['reason']}."]
    names = [f"dice[{name}]" for name in block["mask_classes"]]
    if len(names) == 1 or not by_class:
        names = []
    return [_fit_sentence(name, block["scores"][name]) for name in ("dice", *names)]


def _fit_sentence(name: str, score: dict[str, Any]) -> str:
    of = name.partition("[")[2][:-1]
    where = f"{of}: " if of else ""
    own, other, gap = score["synthetic"], score["real"], score["gap"]
    if not (math.isfinite(own["value"]) and math.isfinite(other["value"])):
        return (
            f"Whether images fit their masks, {of or 'all classes'}: undefined, for a class is in"
            " no mask."
        )
    if gap["ci_high"] < 0:
        verdict = "Synthetic images fit their masks less well than real ones do"
    elif gap["ci_low"] > 0:
        verdict = "Synthetic images are easier to outline than real ones are"
    else:
        verdict = "Found no difference in how synthetic and real images fit their masks"
    return (
        f"{verdict}: {where}a segmenter trained on real pairs reaches Dice {_interval(own)} on"
        f" synthetic images, {_interval(other)} on held-out real ones; difference"
        f" {_points({'mean': gap['value'], **gap}, 'one group')}."
    )


def _interval(block: dict[str, Any]) -> str:
    if not math.isfinite(block["ci_low"]):
        return f"{block['value']:.3f} (one group: no interval)"
    return f"{block['value']:.3f} ({block['ci_low']:.3f} to {block['ci_high']:.3f})"


def headline(result: dict[str, Any]) -> str:
    """Return the answer in one sentence: the first extractor's word, then what training says."""
    first = result["features"][0]
    scope = first["scopes"][0]
    scores = scope.get("scores", {})
    name = first["name"]
    if not scores:
        said = f"Not scored by {name}: {scope.get('reason', 'no scores')}"
    else:
        kd = short_score("kd", scores["kd"])
        apart = any(score["worse_than_null"] for score in scores.values())
        said = (
            f"Synthetic images differ from held-out real ones more than real ones do from each"
            f" other by {name}: {kd}"
            if apart
            else f"Synthetic images differ from held-out real ones no more than real ones do from"
            f" each other by {name}: {kd}"
        )
    block, fit = result["training"], result.get("consistency") or {"reason": "no masks"}
    if "reason" not in fit and math.isfinite(fit["scores"]["dice"]["gap"]["value"]):
        dice = fit["scores"]["dice"]
        said += (
            f". A segmenter trained on real pairs finds their masks with Dice"
            f" {dice['synthetic']['value']:.3f}, those of real images with"
            f" {dice['real']['value']:.3f}"
        )
    if "reason" in block:
        return said + "."
    return (
        f"{said}. A classifier trained on them alone reaches AUROC"
        f" {block['tstr']['auroc']['mean']:.3f} on real images, one trained on as many real images"
        f" {block['trtr']['auroc']['mean']:.3f}."
    )


def listing(names: list[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def p_relation(value: float) -> str:
    """Return "p = 0.03" or "p < 0.001"."""
    if value < 0.001:
        return "p < 0.001"
    return f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def _measured(block: dict[str, Any]) -> str:
    if not math.isfinite(block["ci_low"]):
        return f"{block['mean']:.3f} (one repeat: no interval)"
    low, high = max(block["ci_low"], 0.0), min(block["ci_high"], 1.0)
    return f"{block['mean']:.3f} ({low:.3f} to {high:.3f})"


def _points(block: dict[str, Any], one: str = "one repeat") -> str:
    def signed(value: float) -> str:
        return f"{MINUS if value < 0 else '+'}{abs(100 * value):.1f}"

    if not math.isfinite(block["ci_low"]):
        return f"{signed(block['mean'])} points ({one}: no interval)"
    low, high = signed(block["ci_low"]), signed(block["ci_high"])
    return f"{signed(block['mean'])} points (95 % interval {low} to {high})"
