"""Several stages run at a time, each in a process of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from medgain.study.executors.base import EXECUTORS
from medgain.study.stages.base import Outcome, Stage
from medgain.study.stages.run import run_stage


@EXECUTORS.register("processes", summary="several stages at a time, each in a process of its own")
def run_in_processes(
    path: Path, stages: Iterable[Stage], workers: int, retry_failed: bool
) -> Iterator[Outcome]:
    """Run `stages` in `workers` processes; outcomes come as they are finished.

    Processes are spawned, not forked: torch's threads don't survive a fork.
    """
    with ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=leave_with_parent,
        initargs=(os.getpid(),),
    ) as pool:
        futures = [pool.submit(run_stage, path, stage, retry_failed) for stage in stages]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def leave_with_parent(parent: int) -> None:
    """End this worker when the study's process ends, killed or not.

    A worker that outlived it would go on writing into a folder that `--resume` works in.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
