"""Read, decode and fit the files of a listing on all cores, in order.

Threads serve here: Pillow, OpenCV, zlib and hashing let go of the interpreter while they work,
and a process pool would cost its start-up and the copying of every image.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from medgain.files.errors import UnreadableImageError
from medgain.files.images import decode
from medgain.files.masks import MaskRules, read_mask
from medgain.files.placement import Placement
from medgain.files.resize import fit_image
from medgain.importing.layouts.base import ImportOptions, Item
from medgain.importing.read import Read
from medgain.importing.slices import read_slices
from medgain.importing.store import as_type


def read_all(
    items: Sequence[Item],
    options: ImportOptions,
    workers: int | None,
    names: tuple[str, ...] = (),
) -> Iterator[list[Read]]:
    """Yield what each item holds, in order: one image, or the chosen slices of a volume.

    At most a few images, or one volume, per thread are in memory, and their slices.
    """
    threads = max(1, min(workers or cores(), len(items)))
    ahead = 1 if any(item.volume for item in items) else 4
    waiting: deque[Future[list[Read]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="import") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(_read, item, options, names))
                if len(waiting) > ahead * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read(item: Item, options: ImportOptions, names: tuple[str, ...]) -> list[Read]:
    return read_slices(item, options, names) if item.volume else [_read_image(item, options)]


def _read_image(item: Item, options: ImportOptions) -> Read:
    try:
        decoded, content = decode(item.path, options.max_megapixels)
        pixels = decoded.pixels
        height, width = pixels.shape[:2]
        rules = MaskRules(options.mask_classes, options.mask_values)
        mask = (
            read_mask(item.mask, (height, width), rules, options.max_megapixels)
            if item.mask
            else None
        )
    except UnreadableImageError as error:
        return Read(item, reason=str(error))
    if options.colour == "grey" or (options.colour == "auto" and decoded.is_grey):
        pixels = pixels[..., :1] if decoded.is_grey else as_type(pixels, 1, pixels.dtype)
    elif options.colour == "rgb":
        pixels = as_type(pixels, 3, pixels.dtype)
    if options.depth != "auto":
        pixels = as_type(pixels, pixels.shape[2], np.dtype(f"u{int(options.depth) // 8}"))
    if options.size_px is not None:
        pixels = fit_image(np.ascontiguousarray(pixels), options.size_px, options.fit)
    placement = Placement(height, width, options.size_px, options.fit)
    return Read(
        item,
        pixels,
        height,
        width,
        hashlib.sha256(content).hexdigest(),
        mask=None if mask is None else placement.place_mask(mask.codes),
        mask_kind="empty" if mask is None else mask.kind,
        mask_name="" if item.mask is None else item.mask.name,
    )


def cores() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
