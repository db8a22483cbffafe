"""Several stages run at a time, each in a process of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import TypeVar

from medgain.study.executors.base import EXECUTORS, N, ReadyStages

R = TypeVar("R")


@EXECUTORS.register("processes", summary="several stages at a time, each in a process of its own")
def run_in_processes(stages: Sequence[N], run: Callable[[N], R], workers: int) -> Iterator[R]:
    """Run `stages` in `workers` processes; results come as they are finished.

    Processes are spawned, not forked: torch's threads don't survive a fork.
    """
    ready = ReadyStages(stages)
    running: dict[Future[R], N] = {}
    with ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=leave_with_parent,
        initargs=(os.getpid(),),
    ) as pool:
        try:
            while True:
                # no more than can run: what is ready later may stand earlier in the list
                while len(running) < workers and (stage := ready.take()) is not None:
                    running[pool.submit(run, stage)] = stage
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    ready.ended(running.pop(future))
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
