"""Progress: a rich bar on a terminal, plain lines where the output is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, str], None]
_LINE_EVERY_SECONDS = 5.0


def log(message: str) -> None:
    """Print one line of progress to standard error, flushed."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def progress(title: str, total: int, *, quiet: bool = False) -> Iterator[Advance]:
    """Yield `advance(count, note)`, which moves a bar (terminal) or prints lines (elsewhere)."""
    if quiet:
        yield lambda count, note: None
    elif sys.stderr.isatty():
        with _bar(title, total) as advance:
            yield advance
    else:
        with _lines(title, total) as advance:
            yield advance


@contextmanager
def _bar(title: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, note="")

        def advance(count: int = 1, note: str = "") -> None:
            bar.update(task, advance=count, note=note)

        yield advance


@contextmanager
def _lines(title: str, total: int) -> Iterator[Advance]:
    done, last = 0, time.monotonic()

    def advance(count: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if done >= total or now - last >= _LINE_EVERY_SECONDS:
            last = now
            log(f"{title}: {done}/{total}" + (f" ({note})" if note else ""))

    yield advance
