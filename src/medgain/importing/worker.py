"""Read, decode and fit the files of a listing on all cores, in order.

Threads serve here: Pillow, OpenCV, zlib and hashing release the global interpreter lock while
they work, and a process pool would cost its start-up and the copying of every image.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from medgain.importing.layouts.base import Item
from medgain.importing.options import ImportOptions
from medgain.importing.read import Read, read_image, read_slices


def read_all(
    items: Sequence[Item],
    options: ImportOptions,
    names: tuple[str, ...] = (),
) -> Iterator[list[Read]]:
    """Yield what each item holds, in order: one image, or the chosen slices of a volume.

    At most a few images, or one volume, per thread are in memory, and their slices.
    """
    threads = max(1, min(options.workers or cores(), len(items)))
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
    return read_slices(item, options, names) if item.volume else [read_image(item, options)]


def cores() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
