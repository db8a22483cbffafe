"""Read, decode and fit the files of a listing on all cores, in order.

Threads serve here: Pillow, OpenCV and hashing let go of the interpreter while they work, and
a process pool would cost its start-up and the copying of every image.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from medgain.data.importers.base import ImportOptions, Item
from medgain.data.importers.decoding import UnreadableImageError, decode
from medgain.data.importers.fitting import fit_image
from medgain.data.importers.store import as_type


@dataclass(frozen=True)
class Read:
    """What a worker makes of one file: pixels as they will be stored, or why there are none."""

    item: Item
    pixels: np.ndarray | None = None
    height_px: int = 0
    width_px: int = 0
    source_sha256: str = ""
    reason: str = ""


def read_all(items: Sequence[Item], options: ImportOptions, workers: int | None) -> Iterator[Read]:
    """Yield what each file holds, in order; at most a few images per thread are in memory."""
    threads = max(1, min(workers or cores(), len(items)))
    waiting: deque[Future[Read]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="import") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(_read_one, item, options))
                if len(waiting) > 4 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read_one(item: Item, options: ImportOptions) -> Read:
    try:
        decoded, content = decode(item.path, options.max_megapixels)
    except UnreadableImageError as error:
        return Read(item, reason=str(error))
    pixels = decoded.pixels
    height, width = pixels.shape[:2]
    if options.colour == "grey" or (options.colour == "auto" and decoded.is_grey):
        pixels = pixels[..., :1] if decoded.is_grey else as_type(pixels, 1, pixels.dtype)
    elif options.colour == "rgb":
        pixels = as_type(pixels, 3, pixels.dtype)
    if options.depth != "auto":
        pixels = as_type(pixels, pixels.shape[2], np.dtype(f"u{int(options.depth) // 8}"))
    if options.size_px is not None:
        pixels = fit_image(np.ascontiguousarray(pixels), options.size_px, options.fit)
    return Read(item, pixels, height, width, hashlib.sha256(content).hexdigest())


def cores() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
