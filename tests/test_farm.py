"""One function over many items: same results serial and parallel, in order, errors named, Ctrl-C ends the workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pcloud import farm

WORKERS = pytest.mark.parametrize("workers", [1, 2])


def slow_square(item: int) -> int:
    time.sleep(0.05 if item % 2 == 0 else 0)  # odd items overtake even ones
    return item * item


class Odd(Exception):
    """Survives pickling, but not unpickling: its constructor wants two arguments."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def fail(item: str) -> str:
    if item == "value":
        raise ValueError("file.csv: line 3: bad")
    if item == "missing":
        open("/nowhere/at/all")
    if item == "told":
        raise FileNotFoundError("no store there")
    if item == "odd":
        raise Odd("one", "two")
    if item == "die":
        os._exit(9)
    return item


@WORKERS
def test_results_come_in_order_with_progress(workers: int) -> None:
    seen: list[tuple[int, int]] = []
    results = farm.run(slow_square, range(7), workers=workers, progress=lambda *state: seen.append(state))
    assert list(results) == [item * item for item in range(7)]
    assert seen == [(done, 7) for done in range(1, 8)]


@WORKERS
def test_no_items_no_results(workers: int) -> None:
    assert list(farm.run(slow_square, [], workers=workers)) == []


@WORKERS
@pytest.mark.parametrize(
    ("item", "kind", "line"),
    [
        ("value", ValueError, "^value: file.csv: line 3: bad$"),
        ("missing", FileNotFoundError, r"^\[Errno 2\] missing: No such file or directory: '/nowhere/at/all'$"),
        ("told", FileNotFoundError, "^told: no store there$"),
        ("odd", RuntimeError, "^odd: Odd: one$"),
    ],
)
def test_an_error_names_its_item_and_keeps_its_kind(workers: int, item: str, kind: type, line: str) -> None:
    came: list[Any] = []
    with pytest.raises(kind, match=line):
        for result in farm.run(fail, ["a", item, "b", "c"], workers=workers):
            came.append(result)
    assert came == ["a"]


def test_a_worker_that_dies_ends_the_run_instead_of_hanging() -> None:
    with pytest.raises(RuntimeError, match="a worker died"):
        list(farm.run(fail, ["a", "die", "b", "c", "d", "e", "f"], workers=2))


def test_two_items_per_worker_are_under_way_at_most(tmp_path: Path) -> None:
    results = farm.run(Path.touch, [tmp_path / str(number) for number in range(100)], workers=2)
    next(results)
    results.close()
    assert 1 <= len(list(tmp_path.iterdir())) <= 4


def interrupt_is_held(item: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signal masks on this system")
def test_workers_leave_ctrl_c_to_the_parent() -> None:
    assert list(farm.run(interrupt_is_held, [1, 2], workers=2)) == [True, True]
    assert not interrupt_is_held(0)


def test_less_than_one_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="workers: 0 came, expected at least 1"):
        list(farm.run(slow_square, [1], workers=0))


SCRIPT = r"""
import sys, time, os
from pcloud import farm
def sleep(item):
    os.write(1, f"{os.getpid()}\n".encode())  # one write: lines of two workers do not mix
    time.sleep(item)
if __name__ == "__main__":
    list(farm.run(sleep, [60, 0], workers=2))
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for left-over processes in /proc")
@pytest.mark.parametrize("group", [True, False], ids=["to the group", "to the parent alone"])
def test_ctrl_c_ends_the_workers(tmp_path: Path, group: bool) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, stdout=-1, stderr=-1, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    assert all(Path(f"/proc/{pid}").exists() for pid in workers)
    time.sleep(0.3)  # one worker is at work, the other waits for more
    os.killpg(process.pid, signal.SIGINT) if group else process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=30)[1]
    assert process.returncode != 0 and errors.count("KeyboardInterrupt") == 1, errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for left-over processes in /proc")
def test_the_workers_of_a_killed_parent_end(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, env=environment, stdout=-1, text=True)
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while any(map(_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_alive, workers))
    process.stdout.close()


def test_a_dask_scheduler_gives_the_same() -> None:
    distributed = pytest.importorskip("distributed", reason="the farm extra is not installed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        assert list(farm.run(slow_square, range(5), address=address)) == [0, 1, 4, 9, 16]
        with pytest.raises(ValueError, match="^value: file.csv: line 3: bad$"):
            list(farm.run(fail, ["a", "value"], address=address))


def test_dask_missing_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"Dask scheduler tcp://x:1: the package distributed is missing; pip install"):
        list(farm.run(slow_square, [1], address="tcp://x:1"))
