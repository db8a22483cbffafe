"""The report of a made-up segmentation study: its sections, its pictures, hostile folders."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medgain.report import write_report
from medgain.report.study.page import LIMIT_BYTES
from medgain.runtime.errors import DataError

Build = Callable[..., Path]


def text_of(page: str) -> str:
    """Return the page's words, without its script, style and pictures."""
    bare = re.sub(r"<(style|script)>.*?</\1>", " ", page, flags=re.S)
    bare = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", bare))
    return bare.replace("\u200b", "").replace("&#8239;", " ").replace("\u202f", " ")


def ids_of(page: str) -> list[str]:
    return re.findall(r'\sid="([^"]*)"', page)


@pytest.fixture(scope="module")
def page(segmentation_folder: Path) -> str:
    return write_report(segmentation_folder).read_text(encoding="utf-8")


def copy(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target, ignore=shutil.ignore_patterns("report.html")))


def test_sections_of_segmentation_are_there_and_those_of_classification_are_not(page: str) -> None:
    found = set(ids_of(page))
    assert {"structures", "panels", "edges", "spread", "cases", "synthetic"} <= found
    assert {"classes", "roc"}.isdisjoint(found)
    assert "confusion" not in text_of(page).lower() and "Thresholds" not in text_of(page)


def test_ids_are_unique_and_every_reference_leads_somewhere(page: str) -> None:
    found = ids_of(page)
    assert len(found) == len(set(found))
    wanted = set(re.findall(r'href="#([^"]*)"', page))
    assert wanted and wanted <= set(found)


def test_nothing_is_fetched_and_every_picture_has_words(page: str) -> None:
    assert set(re.findall(r'(?:src|href)="(data:|#|[^"]{4})', page)) <= {"data:", "#"}
    for label in re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"', page):
        assert len(label) > 15
    assert all(re.search(r'alt="[^"]', tag) for tag in re.findall(r"<img [^>]*>", page))


def test_classes_stand_with_their_gain_and_interval(page: str) -> None:
    text = text_of(page)
    assert "kidney : in" in text and "tumour : in" in text
    assert re.search(r"gain in Dice \(points, 95 % interval\)", text)
    assert "HD95 (px)" in text and "kidney Dice · Test set" in text
    assert "0 background, 1 kidney, 2 tumour" in text


def test_panels_show_truth_and_every_arm_but_the_control(page: str) -> None:
    section = page[page.index('<section id="panels">') : page.index('<section id="edges">')]
    for role in ("Worst case", "Median case", "Best case"):
        assert section.count(role) == 1
    for name in ("kidney", "tumour"):
        assert f'aria-label="True {name}, ' in section
        for arm in ("classical", "classical+pix2pix", "fpn"):
            assert re.search(rf'aria-label="Predicted {name}, [^"]*, {re.escape(arm)}"', section)
    assert ', aa"' not in section
    # each slice is in the page once, however many tiles show it
    assert section.count("data:image/png") == 3 and section.count('class="scan"') > 30


def test_edges_are_those_of_arms_with_another_model(page: str) -> None:
    section = page[page.index('<section id="edges">') : page.index('<section id="spread">')]
    shown = re.findall(r'aria-label="Edges of ([^,]*), ', section)
    assert shown == ["classical", "fpn"] * 3
    text = text_of(section)
    assert re.search(r"fpn against classical: pixel accuracy .* Dice .* boundary F-score", text)
    assert re.search(r"pixel accuracy 0\.\d{3} Dice 0\.\d{3} boundary F 0\.\d{3}", text)


def test_synthetic_pairs_stand_beside_what_a_segmenter_says_of_them(page: str) -> None:
    section = page[page.index('<section id="synthetic">') :]
    text = text_of(section)
    assert "In pairs: the image, then the same with its mask over it." in text
    assert (
        "kidney 0.710 (held-out real images 0.840; masks of other images 0.200) and tumour" in text
    )
    assert "synthetic images, images with masks" in section


def test_masks_of_another_size_are_not_laid_over(segmentation_folder: Path, tmp_path: Path) -> None:
    folder = copy(segmentation_folder, tmp_path / "s")
    path = next(folder.glob("stages/generators/*/sheet.npz"))
    with np.load(path) as file:
        arrays = dict(file)
    arrays["real_masks"] = arrays["real_masks"][:, :-1]
    np.savez(path, **arrays)
    (path.parent / "assessment.json").write_text('{"consistency": {"reason": "too few images"}}')
    found = write_report(folder).read_text()
    assert "Contact sheet of" in found and "was asked for the masks" not in found


def test_arm_with_a_reference_of_its_own_says_so(segmentation_folder: Path, tmp_path: Path) -> None:
    folder = copy(segmentation_folder, tmp_path / "s")
    verdict = json.loads((folder / "verdict.json").read_text())
    for row in verdict["comparisons"]:
        if row["arm"] == "classical+pix2pix":
            row |= {"reference": "real", "verdict": "helps", "gain": 0.2, "ci_low": 0.1}
    (folder / "verdict.json").write_text(json.dumps(verdict))
    text = text_of(write_report(folder).read_text())
    assert "classical+pix2pix helps beyond real." in text
    assert "Dice from classical (classical+pix2pix: from real)" in text
    assert "classical+pix2pix (over real)" in text and "fpn (over" not in text
    assert re.search(r"Dice of classical: 0\.\d{3}", text)


def test_groups_made_of_single_images_are_named_as_the_images(
    build_segmentation_study: Build, draw_abdomens: Callable[..., object], tmp_path: Path
) -> None:
    pairs = draw_abdomens(12, 32)
    groups = [f"image:{name}" for name in pairs.ids]
    pairs = type(pairs)(pairs.images, pairs.masks, groups, pairs.ids, pairs.classes)
    folder = build_segmentation_study(
        tmp_path / "s", pairs=pairs, groups_known=False, generators=False
    )
    assert "image:case" not in text_of(write_report(folder).read_text())


def test_arms_of_one_model_have_no_edges(build_segmentation_study: Build, tmp_path: Path) -> None:
    folder = build_segmentation_study(tmp_path / "s", generators=False)
    plan = (folder / "plan.yaml").read_text().replace("model: fpn", "model: unet")
    (folder / "plan.yaml").write_text(plan)
    assert "edges" not in ids_of(write_report(folder).read_text())


def test_case_table_holds_the_mean_of_a_groups_images(page: str, segmentation_folder: Path) -> None:
    kept = pd.read_parquet(segmentation_folder / "predictions.parquet")
    mine = kept[(kept["arm"] == "classical") & kept["dice[kidney]"].notna()]
    expected = mine.groupby("group")["dice[kidney]"].mean().sort_values()
    section = page[page.index('<section id="cases">') :]
    table = section[: section.index("</table>")]
    groups = re.findall(r'<th scope="row">([^<]*)</th>', table)
    assert groups == list(expected.index)
    row = table[table.index(f">{groups[0]}<") :]
    cells = re.findall(r"<td class=\"num shade\"[^>]*>([^<]*)<", row[: row.index("</tr>")])
    assert cells[1] == f"{expected.iloc[0]:.3f}"


def test_failed_cells_leave_dashes_in_the_case_table(page: str) -> None:
    section = page[page.index('<section id="cases">') : page.index('<section id="training">')]
    assert re.search(r'<td class="num shade" style="--s:0%">–</td>', section)
    assert "nan" not in text_of(page).lower().split() and "None" not in text_of(page)


def test_one_class_of_unknown_patients(
    build_segmentation_study: Build, draw_abdomens: Callable[..., object], tmp_path: Path
) -> None:
    pairs = draw_abdomens(12, 32)
    pairs = type(pairs)(
        pairs.images.repeat(3, axis=-1),
        (pairs.masks > 0).astype(np.uint8),
        pairs.ids,
        pairs.ids,
        ("lung",),
    )
    folder = build_segmentation_study(
        tmp_path / "s", pairs=pairs, groups_known=False, failed=(), generators=False
    )
    found = write_report(folder).read_text()
    assert "structures" not in ids_of(found) and {"panels", "cases"} <= set(ids_of(found))
    text = text_of(found)
    assert "A dot is one image (mean over cells)" in text and "lung Dice · " not in text
    assert "Patient ids unknown" in text


@pytest.mark.parametrize(
    "options",
    [
        {"fractions": (0.2, 1.0), "repeats": 2},
        {"metric": "hd95", "generators": False},
        {"panels": False, "generators": False},
        {"folds": 2, "failed": ()},
    ],
    ids=["fractions", "distance-first", "no-panels", "two-folds"],
)
def test_unusual_studies_do_not_crash(
    build_segmentation_study: Build, tmp_path: Path, options: dict[str, object]
) -> None:
    found = write_report(build_segmentation_study(tmp_path / "s", **options)).read_text()
    assert "cases" in ids_of(found)
    assert "nan" not in text_of(found).lower().split() and "None" not in text_of(found)
    assert ("panels" in ids_of(found)) == bool(options.get("panels", True))


def test_distances_are_in_pixels(build_segmentation_study: Build, tmp_path: Path) -> None:
    folder = build_segmentation_study(tmp_path / "s", metric="hd95", generators=False)
    text = text_of(write_report(folder).read_text())
    assert re.search(r"Hausdorff distance is \d+\.\d px worse than with classical", text)
    assert re.search(r"95 % Hausdorff distance of classical: \d+\.\d px", text)
    assert re.search(r"no difference was found: \S+ px", text)


def test_bare_verdict_is_enough(segmentation_folder: Path, tmp_path: Path) -> None:
    shutil.copy(segmentation_folder / "verdict.json", tmp_path / "verdict.json")
    found = ids_of(write_report(tmp_path).read_text())
    assert "gains" in found and {"panels", "cases", "spread"}.isdisjoint(found)


@pytest.mark.parametrize("damage", ["npz", "truth", "shape", "values"])
def test_damaged_panels_are_left_out(
    segmentation_folder: Path, tmp_path: Path, damage: str
) -> None:
    folder = copy(segmentation_folder, tmp_path / "s")
    with np.load(folder / "panels.npz") as file:
        arrays = dict(file)
    if damage == "truth":
        arrays = {k: v for k, v in arrays.items() if not k.endswith("truth")}
    elif damage == "shape":
        arrays = {k: v[:-1] if k.endswith("truth") else v for k, v in arrays.items()}
    elif damage == "values":
        arrays = {k: v.astype(float) if k.endswith("truth") else v for k, v in arrays.items()}
    np.savez(folder / "panels.npz", **arrays)
    if damage == "npz":
        (folder / "panels.npz").write_bytes(b"PK nothing")
    assert "panels" not in ids_of(write_report(folder).read_text())


def test_damaged_list_of_panels_is_named(segmentation_folder: Path, tmp_path: Path) -> None:
    folder = copy(segmentation_folder, tmp_path / "s")
    (folder / "panels.json").write_text('{"cases": 3}')
    with pytest.raises(DataError, match=r"panels.json"):
        write_report(folder)


def test_predictions_without_their_images_are_named(
    segmentation_folder: Path, tmp_path: Path
) -> None:
    folder = copy(segmentation_folder, tmp_path / "s")
    kept = pd.read_parquet(folder / "predictions.parquet").drop(columns="group")
    kept.to_parquet(folder / "predictions.parquet")
    with pytest.raises(DataError, match="group"):
        write_report(folder)


def test_hostile_names_are_escaped(
    build_segmentation_study: Build, draw_abdomens: Callable[..., object], tmp_path: Path
) -> None:
    evil = '<b onload="x">'
    pairs = draw_abdomens(12, 32)
    pairs = type(pairs)(
        pairs.images, pairs.masks, [g + evil for g in pairs.groups], pairs.ids, ("kidney", evil)
    )
    folder = build_segmentation_study(tmp_path / "s", pairs=pairs)
    assert "<b onload" not in write_report(folder).read_text()


def test_speckle_on_large_slices_stays_small(
    build_segmentation_study: Build, draw_abdomens: Callable[..., object], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    pairs = draw_abdomens(6, 48)
    images = rng.integers(0, 255, (6, 512, 512, 3), dtype=np.uint8)
    masks = rng.integers(0, 3, (6, 512, 512), dtype=np.uint8)
    folder = build_segmentation_study(tmp_path / "s", panels=False, generators=False)
    listed = {"arms": ["classical"], "cases": []}
    arrays = {}
    for key in range(6):
        arrays |= {f"{key}_image": images[key], f"{key}_truth": masks[key], f"{key}_0": masks[-key]}
        listed["cases"].append({"key": str(key), "image_id": pairs.ids[key], "role": "worst"})
    np.savez(folder / "panels.npz", **arrays)
    (folder / "panels.json").write_text(json.dumps(listed))
    path = write_report(folder)
    assert path.stat().st_size < LIMIT_BYTES
    assert "panels" in ids_of(path.read_text())
