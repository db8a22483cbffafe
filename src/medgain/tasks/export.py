"""Export a saved model as ONNX, and prove that the file computes what PyTorch computes.

The exported graph takes images in [0, 1], float32 (N, C, H, W) with any N, and gives class
probabilities: (N, K) for a classifier, (N, 1 + classes, H, W) for a segmenter, whose first
channel is the background. Normalisation is part of the graph.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medgain.runtime.errors import ConfigError, MedgainError
from medgain.runtime.files import atomic_path
from medgain.runtime.version import __version__
from medgain.tasks.saved import load_model, read_saved_record
from medgain.tasks.saved_record import SavedModelRecord

INPUT, OUTPUT = "images", "probabilities"
TOLERANCE = 1e-4  # of a probability; kernels differ in the order of their sums
_TRACED = 2  # images that the graph is traced with; any number serves afterwards
_CHECKED = (1, 3)  # batch sizes that are compared: neither is the one traced


@dataclass(frozen=True)
class Exported:
    """What was written, and how far its output is from PyTorch's."""

    path: Path
    megabytes: float
    opset: int
    input_shape: tuple[int, int, int]
    output_names: tuple[str, ...]
    runtime: str
    images_compared: int
    largest_difference: float


def export_onnx(
    model: Path | str,
    out: Path | str,
    *,
    opset: int | None = None,
    tolerance: float = TOLERANCE,
    overwrite: bool = False,
) -> Exported:
    """Export the saved model in folder `model` to the file `out`, checked against PyTorch.

    The check runs the written file in ONNX Runtime (in ONNX's own reference evaluator where
    that is not installed) on noise and on smooth images, in other batch sizes than the traced.

    Args:
        opset: version of the ONNX operators; by default that of the exporter.
        tolerance: largest absolute difference of a probability.

    Raises:
        ConfigError: the packages of medgain[onnx] are missing, or the operators can't be had.
        DataError: `model` is no saved model.
        MedgainError: `out` exists, or the outputs differ; then nothing is written.
    """
    onnx = _import_onnx()
    out = Path(out)
    if out.exists() and not overwrite:
        raise MedgainError(f"{out} exists already", "choose another file or pass --overwrite")
    network = load_model(model).model.eval()
    record = read_saved_record(Path(model))
    height, width = record.input.size_px
    shape = (record.input.channels, height, width)
    # plain memory order: what is traced must not depend on how this machine lays out channels
    whole = torch.nn.Sequential(network, torch.nn.Softmax(dim=1))
    whole = whole.to(memory_format=torch.contiguous_format).eval()
    made = _trace(whole, shape, opset)
    proto = made.model_proto
    _describe(proto, record)
    with atomic_path(out) as temporary:
        onnx.checker.check_model(proto, full_check=True)
        temporary.write_bytes(proto.SerializeToString())
        runtime, difference = _compare(whole, temporary, shape)
        if not difference <= tolerance:
            raise MedgainError(
                f"the exported model differs from PyTorch by {difference:.2g} in {runtime}"
                f" (allowed: {tolerance:g}); nothing was written",
                "try another --opset, or raise --tolerance if your use allows it",
            )
    return Exported(
        path=out,
        megabytes=out.stat().st_size / 1e6,
        opset=next(
            entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")
        ),
        input_shape=shape,
        output_names=_output_names(record),
        runtime=runtime,
        images_compared=2 * sum(_CHECKED),
        largest_difference=difference,
    )


def _import_onnx() -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"ONNX export needs the package {error.name}", "pip install 'medgain[onnx]'"
        ) from None
    return onnx


def _trace(whole: torch.nn.Module, shape: tuple[int, int, int], opset: int | None) -> Any:
    example = torch.rand(_TRACED, *shape, generator=torch.Generator().manual_seed(0))
    try:
        with _quiet(), torch.no_grad():
            return torch.onnx.export(
                whole,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=opset,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever an operator's translation hits
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
        raise ConfigError(
            f"the model can't be expressed in ONNX ({reason})",
            "try another --opset; models from other libraries may use operators ONNX has not",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own notes, meant for its developers, off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _output_names(record: SavedModelRecord) -> tuple[str, ...]:
    """Return what the channels of the output are."""
    if record.kind == "segmentation":
        return ("background", *record.spec["mask_classes"])
    return tuple(record.spec["classes"])


def _describe(proto: Any, record: SavedModelRecord) -> None:
    """Write into the file what a program needs to use it without the saved model."""
    proto.producer_name, proto.producer_version = "medgain", __version__
    facts = {
        "medgain.kind": record.kind,
        "medgain.outputs": json.dumps(_output_names(record)),
        "medgain.input": record.input.model_dump_json(),
        "medgain.input_range": "stored value / largest of its type: 0 to 1",
        "medgain.threshold": json.dumps(record.threshold),
    }
    for key, value in facts.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, str(value)


def _compare(whole: torch.nn.Module, path: Path, shape: tuple[int, int, int]) -> tuple[str, float]:
    """Return the runtime's name and the largest absolute difference from PyTorch."""
    name, run = _runtime(path)
    rng = np.random.default_rng(0)
    largest = 0.0
    for count in _CHECKED:
        noise = rng.random((count, *shape), dtype=np.float32)
        for images in (noise, _smooth(noise)):
            with torch.inference_mode():
                ours = whole(torch.from_numpy(images)).numpy()
            theirs = np.asarray(run(images))
            if theirs.shape != ours.shape:
                raise MedgainError(f"the exported model gives {theirs.shape}, not {ours.shape}")
            difference = float(np.max(np.abs(ours - theirs)))
            largest = difference if np.isnan(difference) else max(largest, difference)
            if np.isnan(largest):
                return name, largest
    return name, largest


def _smooth(noise: np.ndarray) -> np.ndarray:
    """Return slow waves of the same shape: anatomy is smooth, and noise leaves ReLUs half open."""
    height, width = noise.shape[-2:]
    rows = np.linspace(0, np.pi, height, dtype=np.float32)[:, None]
    columns = np.linspace(0, np.pi, width, dtype=np.float32)[None, :]
    phase = 2 * np.pi * noise[..., :1, :1]
    return (0.5 + 0.5 * np.sin(3 * rows + 2 * columns + phase)).astype(np.float32)


def _runtime(path: Path) -> tuple[str, Callable[[np.ndarray], Any]]:
    """Return what runs the file: ONNX Runtime, else ONNX's own reference evaluator."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(str(path))
        return "onnx.reference", lambda images: evaluator.run(None, {INPUT: images})[0]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    version = f"onnxruntime {onnxruntime.__version__}"
    return version, lambda images: session.run(None, {INPUT: images})[0]
