"""Skin archives with their metadata tables: what is found by itself, and what comes along."""

from __future__ import annotations

import numpy as np
from PIL import Image

from medgain.importing.run import import_images


def write_images(folder, names):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg")


def test_a_table_of_the_isic_archive_is_understood(tmp_path):
    names = ["ISIC_0000001", "ISIC_0000002", "ISIC_0000003"]
    write_images(tmp_path / "isic", names)
    rows = ["isic_id,age_approx,benign_malignant,lesion_id,patient_id"]
    rows += ["ISIC_0000001,55,benign,IL_1,IP_1", "ISIC_0000002,60,malignant,IL_2,IP_1"]
    rows += ["ISIC_0000003,70,benign,IL_3,IP_2"]
    (tmp_path / "isic" / "metadata.csv").write_text("\n".join(rows))
    made = import_images(tmp_path / "isic", tmp_path / "set", size_px=16)
    assert list(made.records.label) == ["benign", "malignant", "benign"]
    assert list(made.groups) == ["IP_1", "IP_1", "IP_2"]
    assert list(made.records.lesion_id) == ["IL_1", "IL_2", "IL_3"]
    assert made.card.positive == "malignant"


def test_the_skin_archive_is_imported_by_lesion_with_masks_and_all_columns(medgain_data, tmp_path):
    made = import_images(
        medgain_data / "skin", tmp_path / "set", size_px=32, table="metadata.csv",
        group_column="lesion_id", masks="masks", mask_classes=["lesion"],
    )  # fmt: skip
    counts = made.records.label.value_counts()
    assert counts["mel"] == 1000 and counts["nv"] == 1500 and made.card.positive == "mel"
    lesions = made.records.groupby("label")["group"].nunique()
    assert lesions["mel"] == 551 and lesions["nv"] == 1195 and made.card.groups_known
    assert {"age", "sex", "localization", "dx_type"} <= set(made.records.columns)
    assert made.masks is not None and (made.masks == 1).any(axis=(1, 2)).all()
