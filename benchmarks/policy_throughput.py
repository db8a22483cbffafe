"""Policy throughput against Keras, torchvision v2, kornia and Albumentations, in one run.

Rotation + shear + zoom + shift + flip of a batch of 64 grey 8-bit images of 128 px. Every
contestant draws anew for every image and starts from the same numpy array (N, H, W) uint8;
each gives what it naturally gives. Rounds are interleaved, so that whatever else loads the
machine loads all alike; reported are medians, and the median over rounds of the ratio to ours.

    python benchmarks/policy_throughput.py [--rounds 40] [--threads 2] [--json FILE]

The peers come with `pip install medgain[bench]`; one that isn't there is said to be so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from medgain.augment import Policy, PolicyConfig, resolve_policy
from medgain.augment.parameters import Parameters

ROTATION_DEG, SHEAR_DEG, SHIFT, ZOOM = 10.0, 5.0, 0.1, 0.2
OURS = "medgain (numpy uint8)"
Contestant = Callable[[], object]


def photographs(count: int, size_px: int) -> np.ndarray:
    """Return smooth grey images (count, size, size), uint8."""
    noise = np.random.default_rng(0).normal(size=(count, size_px, size_px)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(image, (0, 0), size_px / 20) for image in noise])
    low, high = smooth.min((1, 2), keepdims=True), smooth.max((1, 2), keepdims=True)
    return np.asarray((smooth - low) / (high - low) * 255).astype(np.uint8)


def ours(images: np.ndarray) -> dict[str, Contestant]:
    """Return our contestants: numpy, tensor and float tensor in."""
    policy = Policy(
        PolicyConfig(
            rotation_deg=ROTATION_DEG,
            shear_deg=SHEAR_DEG,
            shift_x=SHIFT,
            shift_y=SHIFT,
            zoom=ZOOM,
            flip_horizontal=True,
        )
    )
    generator = torch.Generator().manual_seed(0)
    batch = images[:, None]
    tensors = torch.from_numpy(batch)
    floats = tensors.float() / 255

    def with_torch() -> torch.Tensor:
        params = policy.draw(len(floats), (floats.shape[2], floats.shape[3]), generator)
        return policy.apply(floats, params, applier="torch")

    return {
        OURS: lambda: policy(batch, generator),
        "medgain (tensor uint8)": lambda: policy(tensors, generator),
        "medgain (tensor float32)": lambda: policy(floats, generator),
        "medgain (torch applier, float32)": with_torch,
    }


def keras_generator(images: np.ndarray) -> Contestant:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    image_module = keras_image_module()
    generator = image_module.ImageDataGenerator(
        rotation_range=ROTATION_DEG,
        shear_range=SHEAR_DEG,
        zoom_range=ZOOM,
        width_shift_range=SHIFT,
        height_shift_range=SHIFT,
        horizontal_flip=True,
        data_format="channels_last",
    )
    batches = generator.flow(images[..., None], batch_size=len(images), shuffle=False, seed=0)
    return lambda: next(batches)


def keras_image_module() -> Any:
    """Return Keras' module of ImageDataGenerator and apply_affine_transform."""
    import importlib

    return importlib.import_module("keras.src.legacy.preprocessing.image")


def torchvision_v2(images: np.ndarray) -> Contestant:
    from torchvision.transforms import v2

    # v2 draws once per call, so each image is a call of its own
    transform = v2.Compose(
        [
            v2.RandomAffine(
                degrees=ROTATION_DEG,
                translate=(SHIFT, SHIFT),
                scale=(1 - ZOOM, 1 + ZOOM),
                shear=SHEAR_DEG,
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
            v2.RandomHorizontalFlip(),
        ]
    )
    tensors = torch.from_numpy(images[:, None])
    return lambda: torch.stack([transform(image) for image in tensors])


def kornia_batch(images: np.ndarray) -> Contestant:
    import kornia.augmentation as K

    transform = torch.nn.Sequential(
        K.RandomAffine(
            degrees=ROTATION_DEG,
            translate=(SHIFT, SHIFT),
            scale=(1 - ZOOM, 1 + ZOOM),
            shear=SHEAR_DEG,
            padding_mode="border",
            p=1.0,
        ),
        K.RandomHorizontalFlip(p=0.5),
    )
    tensors = torch.from_numpy(images[:, None])
    return lambda: transform(tensors.float() / 255)


def albumentations_loop(images: np.ndarray) -> Contestant:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A

    transform = A.Compose(
        [
            A.Affine(
                rotate=(-ROTATION_DEG, ROTATION_DEG),
                shear=(-SHEAR_DEG, SHEAR_DEG),
                translate_percent=(-SHIFT, SHIFT),
                scale=(1 - ZOOM, 1 + ZOOM),
                border_mode=cv2.BORDER_REPLICATE,
                p=1.0,
            ),
            A.HorizontalFlip(p=0.5),
        ]
    )
    return lambda: np.stack([transform(image=image)["image"] for image in images])


PEERS: dict[str, Callable[[np.ndarray], Contestant]] = {
    "Keras ImageDataGenerator": keras_generator,
    "torchvision v2": torchvision_v2,
    "kornia": kornia_batch,
    "Albumentations": albumentations_loop,
}


def interleave(contestants: dict[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each contestant took in each round, one after the other."""
    for contestant in contestants.values():
        for _ in range(3):
            contestant()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for k in range(rounds):
        for name in order[k % len(order) :] + order[: k % len(order)]:
            start = time.perf_counter()
            contestants[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def agreement_with_keras(images: np.ndarray) -> float | None:
    """Return the largest difference in grey levels to Keras' own apply_affine_transform."""
    try:
        keras_image = keras_image_module()
    except ImportError:
        return None
    rng = np.random.default_rng(1)
    policy = resolve_policy({"rotation_deg": 30, "shear_deg": 20, "shift_x": 0.2, "zoom": 0.2})
    worst = 0.0
    for image in images[:8]:
        theta, shear = rng.uniform(-30, 30), rng.uniform(-20, 20)
        zoom_x, zoom_y = rng.uniform(0.8, 1.2, 2)
        right, down = rng.uniform(-10, 10, 2)
        theirs = keras_image.apply_affine_transform(
            image[..., None].astype(np.float64),
            theta=theta,
            tx=-right,
            ty=-down,
            shear=shear,
            zx=zoom_x,
            zy=zoom_y,
            row_axis=0,
            col_axis=1,
            channel_axis=2,
        )
        values = {
            "rotation_deg": theta,
            "shear_deg": shear,
            "shift_x_px": right,
            "shift_y_px": down,
            "zoom_x": zoom_x,
            "zoom_y": zoom_y,
        }
        params = Parameters.identity(1, (image.shape[0], image.shape[1]))
        params = params.changed({k: torch.tensor([v]) for k, v in values.items()})
        mine = policy.apply(image[None, None].astype(np.float64), params, value_range=(0, 255))
        worst = max(worst, float(np.abs(mine[0, 0] - theirs[..., 0]).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    warnings.simplefilter("ignore")  # the peers' deprecations
    images = photographs(options.batch, options.size)

    contestants = ours(images)
    missing: dict[str, str] = {}
    for name, make in PEERS.items():
        try:
            contestants[name] = make(images)
        except ImportError as error:
            missing[name] = str(error)
    seconds = interleave(contestants, options.rounds)
    result = summarise(seconds, missing)
    result["max_difference_to_keras_grey_levels"] = agreement_with_keras(images)
    result["setting"] = {
        "batch": options.batch,
        "size_px": options.size,
        "threads": options.threads,
        "rounds": options.rounds,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "opencv": cv2.__version__,
    }
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def summarise(seconds: dict[str, list[float]], missing: dict[str, str]) -> dict[str, Any]:
    """Return median milliseconds and median paired ratios to our numpy path."""
    rows: dict[str, Any] = {}
    for name, taken in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(taken, seconds[OURS], strict=True)]
        rows[name] = {
            "median_ms": round(1e3 * statistics.median(taken), 3),
            "fastest_ms": round(1e3 * min(taken), 3),
            "times_ours": round(statistics.median(ratios), 2),
        }
    return {"contestants": rows, "not_installed": missing}


def show(result: dict[str, Any]) -> None:
    setting = result["setting"]
    print(
        f"batch of {setting['batch']}, {setting['size_px']} px, grey 8 bit, "
        f"{setting['threads']} threads, {setting['rounds']} interleaved rounds"
    )
    print(f"{'':34} {'median':>9} {'fastest':>9} {'times ours':>11}")
    for name, row in result["contestants"].items():
        print(
            f"{name:34} {row['median_ms']:6.2f} ms {row['fastest_ms']:6.2f} ms "
            f"{row['times_ours']:10.2f}×"
        )
    for name, why in result["not_installed"].items():
        print(f"{name:34} not installed ({why})")
    difference = result["max_difference_to_keras_grey_levels"]
    if difference is not None:
        print(f"largest difference to Keras at equal parameters: {difference:.4f} grey levels")


if __name__ == "__main__":
    sys.exit(main())
