"""Processes of their own for tests, forked from a server that has what is slow to load: seconds saved in each.

``server()`` is a multiprocessing context; ``run(main, arguments)`` runs a command line as ``subprocess.run`` would. Kernels for
GPUs run in Triton's interpreter in a fresh one: ``interpreted(file)``.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

SLOW = ["pcloud.train.fitting", "pcloud.tasks", "pcloud.encoders", "torch._dynamo", "torch.utils.tensorboard"]


def server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SLOW)
    return context


def interpreted(file: str, *arguments: str) -> str:
    """What a test file prints as a script in Triton's interpreter, without a GPU. AssertionError, with its words, if it fails."""
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here.parent), str(here), str(Path(file).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, file, *arguments],
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run(
    main: Callable[[list[str]], int],
    arguments: Sequence[object],
    *,
    cwd: Path | None = None,
    preexec_fn: Callable[[], None] | None = None,
    timeout: float = 200,
) -> subprocess.CompletedProcess[str]:
    """``sys.exit(main(arguments))`` with one thread: its exit status and what it printed."""
    words = [str(one) for one in arguments]
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, "out"), Path(folder, "err")]
        process = server().Process(target=_child, args=(main, words, cwd, preexec_fn, said))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(words, timeout)
        out, err = (file.read_text() for file in said)
    return subprocess.CompletedProcess(words, process.exitcode, out, err)


def _child(main: Callable[[list[str]], int], words: list[str], cwd: Path | None, first: Any, said: list[Path]) -> None:
    import torch

    for place, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), place)
    os.environ.pop("PCLOUD_TRACEBACK", None)
    torch.set_num_threads(1)
    if cwd:
        os.chdir(cwd)
    if first:
        first()
    sys.exit(main(words))
