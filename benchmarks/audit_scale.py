"""Time and peak memory of an audit: 5,000 synthetic against 5,000 training images at 128 px.

Images are smooth random textures; the time doesn't depend on what they show, apart from how many
steps an alignment takes. 1,000 more are held out, and the membership test takes 1,000 training
images, so that 9,000 searches are made. Prints seconds and memory of each part.
Run: python benchmarks/audit_scale.py
"""

from __future__ import annotations

import argparse
import resource
import time

import cv2
import numpy as np
import torch

from medgain.assess.audit.run import audit
from medgain.imageset.imageset import Card, ImageSet


def textures(count: int, size_px: int, seed: int) -> np.ndarray:
    """Return smooth random images (count, size, size, 1), uint8."""
    rng = np.random.default_rng(seed)
    images = np.empty((count, size_px, size_px, 1), np.uint8)
    for image in images:
        noise = rng.standard_normal((size_px, size_px), np.float32)
        field = cv2.GaussianBlur(noise, (0, 0), 0.04 * size_px)
        image[..., 0] = np.clip(110 + 35 * field / field.std(), 0, 255)
    return images


def make(count: int, size_px: int, seed: int, name: str) -> ImageSet:
    """Return an image set of textures."""
    ids = [f"{name}/{i}" for i in range(count)]
    card = Card(name=name, groups_known=True, group_rule="one each")
    return ImageSet.from_arrays(textures(count, size_px, seed), image_ids=ids, card=card)


def peak_mb() -> float:
    """Return the process's largest memory so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000, help="synthetic and training images")
    parser.add_argument("--holdout", type=int, default=1000)
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    torch.set_num_threads(options.threads)
    synthetic = make(options.images, options.size, 0, "synthetic")
    train = make(options.images, options.size, 1, "train")
    holdout = make(options.holdout, options.size, 2, "holdout")
    before = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    found = audit(synthetic, train, holdout).result
    seconds = time.process_time() - cpu
    print(
        f"{options.images:,} × {options.images:,} images, {options.holdout:,} held out,"
        f" {options.size} px: processor {seconds:.0f} s, wall {time.perf_counter() - wall:.0f} s,"
        f" peak memory {peak_mb():.0f} MiB ({before:.0f} MiB before), verdict {found.verdict}"
    )


if __name__ == "__main__":
    main()
