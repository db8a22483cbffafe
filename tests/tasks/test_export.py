"""ONNX files compute what PyTorch computes, say what they take, or are not written."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from medgain.runtime.errors import ConfigError, DataError, MedgainError
from medgain.tasks import export
from medgain.tasks.export import export_onnx
from medgain.tasks.saved import load_model
from saved_models import save_classifier, save_segmenter


def run(path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


@pytest.fixture
def traced_once(monkeypatch):
    """Tracing takes seconds, and the same classifier is exported in many tests."""
    monkeypatch.setattr(export, "_trace", _trace_once)


_TRUE_TRACE, _KEPT = export._trace, []


def _trace_once(whole, shape, opset):
    if not _KEPT:
        _KEPT.append(_TRUE_TRACE(whole, shape, opset))
    program = SimpleNamespace(model_proto=onnx.ModelProto())
    program.model_proto.CopyFrom(_KEPT[0].model_proto)
    return program


CLASSES = ("well", "ill")


@pytest.mark.parametrize(
    "model", ["unet", pytest.param("smp:FPN:resnet18", marks=pytest.mark.slow)]
)
def test_segmenters_of_any_size_and_number_of_images(tmp_path, model):
    size = (40, 24) if model == "unet" else (32, 32)  # 40 is padded inside the network
    folder = save_segmenter(
        tmp_path / "m", model=model, size_px=size, mask_classes=("kidney", "tumour")
    )
    made = export_onnx(folder, tmp_path / "m.onnx")
    assert made.largest_difference < 1e-4 and made.runtime.startswith("onnxruntime")
    assert made.output_names == ("background", "kidney", "tumour")
    images = np.random.default_rng(5).random((5, 1, *size), dtype=np.float32)
    theirs = run(tmp_path / "m.onnx", images)
    with torch.inference_mode():
        ours = load_model(folder).model(torch.from_numpy(images)).softmax(dim=1).numpy()
    assert theirs.shape == (5, 3, *size)
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_classifiers_and_what_the_file_says_of_itself(tmp_path, traced_once):
    folder = save_classifier(tmp_path / "m", CLASSES, threshold=0.3)
    made = export_onnx(folder, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").stat().st_size == pytest.approx(made.megabytes * 1e6)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".data"] == []
    proto = onnx.load(tmp_path / "m.onnx")
    said = {entry.key: entry.value for entry in proto.metadata_props}
    assert json.loads(said["medgain.outputs"]) == ["well", "ill"]
    assert json.loads(said["medgain.threshold"]) == 0.3
    assert json.loads(said["medgain.input"])["size_px"] == [24, 24]
    assert said["medgain.kind"] == "classification"
    probabilities = run(tmp_path / "m.onnx", np.zeros((1, 1, 24, 24), np.float32))
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)


def test_without_onnxruntime_the_reference_evaluator_checks(tmp_path, monkeypatch, traced_once):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    folder = save_classifier(tmp_path / "m", CLASSES, threshold=None)
    made = export_onnx(folder, tmp_path / "m.onnx")
    assert made.runtime == "onnx.reference" and made.largest_difference < 1e-4


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_without_the_extra_it_says_how_to_get_it(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    folder = save_classifier(tmp_path / "m", CLASSES, threshold=0.5)
    with pytest.raises(ConfigError, match=r"medgain\[onnx\]"):
        export_onnx(folder, tmp_path / "m.onnx")


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch, traced_once):
    folder = save_classifier(tmp_path / "m", CLASSES, threshold=0.5)
    true_runtime = export._runtime

    def wrong(path):
        name, run = true_runtime(path)
        return name, lambda images: run(images) + 0.01

    monkeypatch.setattr(export, "_runtime", wrong)
    with pytest.raises(MedgainError, match=r"differs from PyTorch by 0\.01"):
        export_onnx(folder, tmp_path / "m.onnx")
    monkeypatch.setattr(
        export, "_runtime", lambda path: ("x", lambda images: np.full((len(images), 2), np.nan))
    )
    with pytest.raises(MedgainError, match="differs from PyTorch by nan"):
        export_onnx(folder, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_mistakes_are_named(tmp_path):
    with pytest.raises(DataError, match="not a saved model"):
        export_onnx(tmp_path, tmp_path / "m.onnx")
    (tmp_path / "there.onnx").write_bytes(b"mine")
    folder = save_classifier(tmp_path / "m", CLASSES, threshold=0.5)
    with pytest.raises(MedgainError, match="exists already"):
        export_onnx(folder, tmp_path / "there.onnx")
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"
