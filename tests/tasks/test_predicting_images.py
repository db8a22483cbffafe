"""Pictures, folders of pictures and image sets in; masks or classes out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medgain.files.placement import Placement
from medgain.imageset.imageset import Card, ImageSet, Intensity
from medgain.importing.run import import_images
from medgain.runtime.errors import ConfigError, DataError, MedgainError
from medgain.runtime.files import read_json, write_json
from medgain.runtime.records import read_record
from medgain.tasks.predicting.model import Predictor
from medgain.tasks.predicting.model_input import ModelInput, Preparer
from medgain.tasks.predicting.options import PredictOptions
from medgain.tasks.predicting.overlays import COLOURS, overlay
from medgain.tasks.predicting.record import PredictionRecord
from medgain.tasks.predicting.result import decision_rows
from medgain.tasks.predicting.run import predict_to_folder
from medgain.tasks.predicting.sources import find_sources, safe_name
from medgain.tasks.predicting.terminal import result_lines
from saved_models import save_classifier, save_segmenter, threshold_predictions, training_set

SIDE = 24


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setattr(Predictor, "predict", threshold_predictions)
    return save_segmenter(tmp_path / "model", training_set(mask_classes=("lung",), fit="pad"))


def picture(path, height, width, *, box=None, mode="L"):
    """Save a dark picture with a white box (top, left, height, width)."""
    pixels = np.full((height, width), 20, np.uint8)
    if box:
        top, left, high, wide = box
        pixels[top : top + high, left : left + wide] = 240
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return pixels > 128


def test_pictures_of_different_sizes_get_masks_of_their_own_size(model, tmp_path):
    truth = {
        "same": picture(tmp_path / "in" / "same.png", 24, 24, box=(3, 4, 5, 6)),
        "twice": picture(tmp_path / "in" / "twice.png", 48, 48, box=(10, 20, 8, 4)),
        "wide/flat": picture(tmp_path / "in" / "wide" / "flat.jpg", 24, 48, box=(4, 8, 16, 24)),
        "tall": picture(tmp_path / "in" / "tall.bmp", 72, 24, box=(9, 3, 30, 12), mode="RGB"),
        "small": picture(tmp_path / "in" / "small.tif", 12, 12, box=(2, 3, 6, 6)),
    }
    done = predict_to_folder(model, tmp_path / "in", tmp_path / "out")
    for name, mask in truth.items():
        written = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{name}.png"))
        assert written.shape == mask.shape and set(np.unique(written)) <= {0, 1}
        overlap = 2 * (written & mask).sum() / (written.sum() + mask.sum())
        assert overlap > 0.9, name  # JPEG and cubic enlargement blur an edge
        shown = np.asarray(Image.open(tmp_path / "out" / "overlays" / f"{name}.png"))
        assert shown.shape == (*mask.shape, 3)
    for name in ("same", "twice"):  # boxes on the grid come back exactly
        np.testing.assert_array_equal(
            np.asarray(Image.open(tmp_path / "out" / "masks" / f"{name}.png")) > 0, truth[name]
        )
    areas = pd.read_csv(tmp_path / "out" / "areas.csv", keep_default_na=False)
    assert list(areas["image"]) == sorted(truth)
    row = areas[areas["image"] == "twice"].iloc[0]
    assert (row["class"], row["area_px"], row["share"]) == ("lung", 32, 32 / 48**2)
    text = "\n".join(result_lines(done, tmp_path / "out"))
    assert "5 images; in the masks 0 is background, 1 lung" in text
    assert "lung: in 5 of 5 images" in text
    assert "images were brought to 24 × 24 px (pad) (4 ×)" in text


def test_one_picture_and_its_description(model, tmp_path):
    picture(tmp_path / "a b.png", 24, 24, box=(3, 4, 5, 6))
    predict_to_folder(model, tmp_path / "a b.png", tmp_path / "out")
    assert (tmp_path / "out" / "masks" / "a b.png").is_file()
    said = read_json(tmp_path / "out" / "predictions.json")
    assert said["values"] == {"0": "background", "1": "lung"}
    assert said["overlay_colours"] == "lung orange"
    assert said["images"] == 1 and said["volumes"] == 0
    with pytest.raises(MedgainError, match="exists already"):
        predict_to_folder(model, tmp_path / "a b.png", tmp_path / "out")
    predict_to_folder(model, tmp_path / "a b.png", tmp_path / "out", overwrite=True)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    fit=st.sampled_from(["pad", "crop", "stretch"]),
)
def test_any_size_is_brought_to_the_models_and_back(height, width, fit):
    takes = ModelInput((16, 16), 1, np.dtype("uint8"), fit)
    image = np.full((height, width, 1), 200, np.uint8)
    ready, placement = Preparer(takes).image(image, "x")
    assert ready.shape == (16, 16, 1)
    back = placement.restore((ready[..., 0] > 100).astype(np.uint8))
    assert back.shape == (height, width)
    top, left, high, wide = placement.cut
    inside = np.zeros((height, width), bool)
    inside[top : top + high, left : left + wide] = True
    np.testing.assert_array_equal(back > 0, inside)


def test_new_pictures_become_what_the_import_makes_of_them(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name, shape in (("a", (30, 40)), ("b", (64, 64)), ("c", (32, 32))):
        Image.fromarray(random.integers(0, 65536, shape, dtype=np.uint16)).save(
            tmp_path / "in" / f"{name}.png"
        )
    images = import_images(tmp_path / "in", tmp_path / "set", size_px=32, fit="crop")
    card = images.card.model_copy(update={"mask_classes": ["lung"]})
    masks = np.zeros(images.images.shape[:3], np.uint8)
    folder = save_segmenter(tmp_path / "m", ImageSet(images.images, images.records, card, masks))
    seen = {}

    def spy(self, prepared):
        seen["prepared"] = prepared
        return prepared[..., 0].astype(np.uint8) * 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "predict", spy)
        predict_to_folder(folder, tmp_path / "in", tmp_path / "out")
    assert seen["prepared"].dtype == np.uint16
    np.testing.assert_array_equal(seen["prepared"], images.images)


def test_colour_grey_and_depth(model, tmp_path):
    colour = np.zeros((SIDE, SIDE, 3), np.uint8)
    colour[..., 0] = 200
    (tmp_path / "in").mkdir()
    Image.fromarray(colour).save(tmp_path / "in" / "skin.png")
    with pytest.raises(DataError, match=r"skin\.png is a colour image, and the model .* grey"):
        predict_to_folder(model, tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    made = training_set(mask_classes=("lung",), colour="grey")  # the import made grey of colour
    done = predict_to_folder(save_segmenter(tmp_path / "m2", made), tmp_path / "in", tmp_path / "o")
    assert done.images == 1
    rgb = save_segmenter(tmp_path / "m3", training_set(channels=3, mask_classes=("lesion",)))
    picture(tmp_path / "grey.png", SIDE, SIDE)
    done = predict_to_folder(rgb, tmp_path / "grey.png", tmp_path / "o3")
    assert any("grey images were given to a model of colour" in note for note in done.notes)
    deep = np.full((SIDE, SIDE), 60_000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    done = predict_to_folder(model, tmp_path / "deep.png", tmp_path / "o4")
    assert done.areas[0]["share"] == 1.0
    assert any("16 bit, the training images 8" in note for note in done.notes)


def masked_set(**card) -> ImageSet:
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (70, SIDE, SIDE, 1), dtype=np.uint8)
    values = {"name": "some", "mask_classes": ["lung"], **card}
    return ImageSet.from_arrays(
        images,
        masks=(images[..., 0] >= 128).astype(np.uint8),
        splits=["train", "test"] * 35,
        card=Card(**values),
    )


def test_an_image_set_is_scored_against_its_masks(model, tmp_path):
    masked_set().save(tmp_path / "set")
    done = predict_to_folder(model, tmp_path / "set", tmp_path / "out")
    assert done.images == 70 and done.scores["dice"] == 1.0
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 70
    lines = result_lines(done, tmp_path / "out")
    assert any("dice 1.000" in line for line in lines)
    part = predict_to_folder(
        model, tmp_path / "set", tmp_path / "o2", options=PredictOptions(split="test")
    )
    assert part.images == 35
    with pytest.raises(DataError, match="no part 'tets'"):
        predict_to_folder(
            model, tmp_path / "set", tmp_path / "o3", options=PredictOptions(split="tets")
        )
    other = masked_set(mask_classes=["liver"])
    other.save(tmp_path / "other")
    assert not predict_to_folder(model, tmp_path / "other", tmp_path / "o4").scores


def test_an_image_set_of_another_window_is_brought_to_the_models(tmp_path, monkeypatch):
    monkeypatch.setattr(Predictor, "predict", threshold_predictions)
    model = save_segmenter(tmp_path / "model")  # 0 to 400 HU
    hu = np.array([0, 100, 199, 202, 300, 400] * 4, np.float64)
    stored = np.rint(hu + 1024).astype(np.uint16)[None, :, None, None]
    whole = ImageSet.from_arrays(
        np.repeat(stored, SIDE, axis=2),
        card=Card(name="hu", intensity=Intensity(offset=-1024.0, unit="HU")),
    )
    whole.save(tmp_path / "set")
    predict_to_folder(model, tmp_path / "set", tmp_path / "out")
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / "000000.png"))
    np.testing.assert_array_equal(mask[:, 0] > 0, hu > 200)


def test_classes_are_decided_at_the_models_own_threshold(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        picture(tmp_path / "in" / f"{number}.png", 20 + number, 30, box=(2, 2, 9, 5 + 5 * number))
    for threshold, expected in ((0.0, "ill"), (1.0, "well")):
        folder = save_classifier(tmp_path / f"m{threshold}", ("well", "ill"), threshold=threshold)
        out = tmp_path / f"out{threshold}"
        done = predict_to_folder(folder, tmp_path / "in", out)
        table = pd.read_csv(out / "predictions.csv")
        assert list(table["decision"]) == [expected] * 3
        assert np.allclose(table["p[well]"] + table["p[ill]"], 1)
        assert result_lines(done, out)[0] == f"3 images: 3 {expected}"
        assert not (out / "masks").exists()
    assert read_json(out / "predictions.json")["threshold"] == 1.0


def test_decisions_of_many_classes_go_to_the_most_probable():
    rows = list(
        decision_rows(
            [("a", ""), ("b", "")],
            np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]),
            ("x", "y", "z"),
            2,
            None,
        )
    )
    assert [row["decision"] for row in rows] == ["y", "x"]


def test_bad_files_are_named_together(model, tmp_path):
    picture(tmp_path / "in" / "good.png", SIDE, SIDE)
    (tmp_path / "in" / "empty.png").write_bytes(b"")
    (tmp_path / "in" / "words.jpg").write_text("hello")
    with pytest.raises(DataError) as caught:
        predict_to_folder(model, tmp_path / "in", tmp_path / "out")
    for part in ("2 of the files", "empty.png: zero bytes", "words.jpg: text"):
        assert part in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "model"]
    skip = PredictOptions(skip_unreadable=True)
    assert len(predict_to_folder(model, tmp_path / "in", tmp_path / "o", options=skip).areas) == 1
    (tmp_path / "in" / "good.png").unlink()
    with pytest.raises(DataError, match="nothing in .* can be read"):
        predict_to_folder(model, tmp_path / "in", tmp_path / "o2", options=skip)


def test_what_can_not_be_predicted_is_named(model, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "table.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"nothing to predict .*1 \.csv"):
        predict_to_folder(model, tmp_path / "in", tmp_path / "out")
    with pytest.raises(DataError, match="no image, NIfTI file or DICOM file"):
        predict_to_folder(model, tmp_path / "in" / "table.csv", tmp_path / "out")
    with pytest.raises(DataError, match="does not exist"):
        predict_to_folder(model, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(DataError, match="not a saved model"):
        predict_to_folder(tmp_path / "in", tmp_path / "in", tmp_path / "out")
    with pytest.raises(ConfigError, match="did you mean 'none'"):
        predict_to_folder(
            model, tmp_path / "in", tmp_path / "out", options=PredictOptions(overlays="non")
        )
    config = read_json(model / "model.json")
    del config["input"]
    write_json(model / "model.json", config)
    with pytest.raises(DataError, match=r"model\.json is not .* input: field required"):
        predict_to_folder(model, tmp_path / "in", tmp_path / "out")


def test_files_of_one_name_and_names_that_lead_out(tmp_path):
    for name in ("a.png", "a.jpg", "b.PNG"):
        picture(tmp_path / name, 4, 4)
    assert [item.name for item in find_sources(tmp_path).items] == ["a.jpg", "a.png", "b"]
    assert safe_name("../../etc/passwd") == "etc/passwd"
    assert safe_name("C:\\scans\\1") == "C_/scans/1"
    assert safe_name("..") == "image"


def test_an_overlay_outlines_and_lets_the_image_through():
    image = np.full((9, 9, 1), 100, np.uint8)
    mask = np.zeros((9, 9), np.uint8)
    mask[2:7, 2:7], mask[4, 4] = 1, 2
    shown = overlay(image, mask)
    assert tuple(shown[2, 2]) == COLOURS[0] and tuple(shown[4, 4]) == COLOURS[1]
    assert tuple(shown[0, 0]) == (100, 100, 100)
    inside = shown[3, 4].astype(int)  # next to the other class: its own outline
    assert tuple(inside) == COLOURS[0]
    deep = np.linspace(1000, 1400, 81).reshape(9, 9, 1).astype(np.uint16)
    grey = overlay(deep, np.zeros((9, 9), np.uint8))[..., 0]
    assert grey.min() == 0 and grey.max() == 255


def test_the_description_is_plain_json(model, tmp_path):
    picture(tmp_path / "a.png", SIDE, SIDE)
    predict_to_folder(model, tmp_path / "a.png", tmp_path / "out")
    text = (tmp_path / "out" / "predictions.json").read_text(encoding="utf-8")
    assert json.loads(text)["use"].startswith("For research")


def test_the_description_is_a_record_of_one_format(model, tmp_path):
    picture(tmp_path / "in" / "a.png", SIDE, SIDE)
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    predict_to_folder(
        model, tmp_path / "in", tmp_path / "out", options=PredictOptions(skip_unreadable=True)
    )
    file = tmp_path / "out" / "predictions.json"
    record = read_record(file, PredictionRecord)
    assert record.format == 1 and record.images == 1
    assert record.model.size_px == (SIDE, SIDE) and record.classes == ["lung"]
    assert [Path(one.file).name for one in record.unreadable] == ["b.png"]
    assert (record.threshold, record.positive) == (None, None)  # of classifiers alone
    write_json(file, read_json(file) | {"format": 2})
    with pytest.raises(DataError, match=r"predictions\.json is not of this version's format"):
        read_record(file, PredictionRecord)


def test_a_placement_of_the_models_own_size_changes_nothing():
    takes = ModelInput((16, 24), 1, np.dtype("uint8"))
    assert takes.placement(16, 24, "x") == Placement(16, 24, None)
    with pytest.raises(DataError, match="only square models"):
        takes.placement(24, 24, "x")
