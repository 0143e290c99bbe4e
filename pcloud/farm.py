"""One function over many events: in this process, in worker processes, or on a Dask cluster, always in order.

``for result in farm.run(function, items, workers=4): ...``; the same call with ``address=`` uses a Dask scheduler. A
script that asks for workers needs the usual ``if __name__ == "__main__":`` guard, as workers are fresh interpreters.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]


def run(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int = 1,
    progress: Progress | None = None,
    address: str | None = None,
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for each item, in order.

    ``workers`` = 1 works in this process; with more, function, items and results must pickle. ``address``: that of a
    Dask scheduler, whose workers do it instead. ``progress(done, total)`` is called after each item. An error ends the
    run and names its item: ValueError and OSError keep their type, any other becomes RuntimeError. Closing the
    iterator, an error or Ctrl-C ends the workers.
    """
    work = list(items)
    if workers < 1:
        raise ValueError(f"workers: {workers} came, expected at least 1")
    call = partial(_call, function)
    serial = address is None and (workers == 1 or len(work) < 2)
    results = (call(item) for item in work) if serial else _parallel(call, work, workers, address)
    with closing(results):
        for done, result in enumerate(results, start=1):
            if progress is not None:
                progress(done, len(work))
            yield result


def _parallel(call: Callable[[Any], Any], work: list[Any], workers: int, address: str | None) -> Generator[Any, None, None]:
    # Two items per worker are under way: enough to keep them busy, few enough to bound the memory of results.
    waiting: deque[tuple[Any, Future[Any]]] = deque()
    with _processes(min(workers, len(work))) if address is None else _cluster(address) as (pool, width):
        rest = deque(work)
        try:
            while rest or waiting:
                while rest and len(waiting) < 2 * width:
                    with _interrupt_held():
                        waiting.append((rest[0], pool.submit(call, rest[0])))
                    rest.popleft()
                yield waiting[0][1].result()
                waiting.popleft()
        except BrokenProcessPool as error:
            name = _name(waiting[0][0] if waiting else rest[0])
            raise RuntimeError(f"{name}, or near: a worker died (killed, out of memory?); try fewer workers") from error


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    """Runs in the worker. Only plain errors leave it: others might not survive the way back."""
    try:
        return function(item)
    except Exception as error:
        name = _name(item)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, f"{name}: {error.strerror}", error.filename) from error
        for kind in (ValueError, FileNotFoundError, OSError):
            if isinstance(error, kind):
                raise kind(f"{name}: {error}") from error
        raise RuntimeError(f"{name}: {type(error).__name__}: {error}") from error


def _name(item: Any) -> str:
    text = str(item)
    return text if len(text) <= 200 else f"{text[:100]}...{text[-97:]}"


@contextmanager
def _interrupt_held() -> Iterator[None]:
    """Ctrl-C reaches the whole process group; workers started here inherit the mask, so the parent alone answers."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Runs in each worker: of a killed parent they hear nothing, and would work on beside the next run, or wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _processes(workers: int) -> Iterator[tuple[Executor, int]]:
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        yield pool, workers
        pool.shutdown()
    except BaseException:
        running = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.terminate()
        for process in running:
            process.join()
        raise


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise ValueError(f"Dask scheduler {address}: the package distributed is missing; pip install 'pcloud[farm]'") from error
    with distributed.Client(address, set_as_default=False) as client, client.get_executor(pure=False) as pool:
        yield pool, max(len(client.scheduler_info()["workers"]), 1)
