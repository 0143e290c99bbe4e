"""A run that takes a second and has what makes resuming hard (dropout, batch statistics, accumulation), and ways to kill it.

``train(run, ...)`` trains in a process of its own and returns its exit code, negative for a signal.
"""

from __future__ import annotations

import csv
import hashlib
import multiprocessing
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from processes import server
from torch import Tensor, nn

from pcloud.cloud import PointCloud
from pcloud.tasks.protocol import Rows
from pcloud.train import Interrupted, TrainOptions, checkpoint, fit

OPTIONS: dict[str, Any] = dict(
    steps=40, accumulate=3, budget=60, rate=1e-2, warmup=5, validate_every=4, checkpoint_every=5, device="cpu", seed=3
)


class Toy(nn.Module):
    """Tell points with x + y > z from the others."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))

    def forward(self, cloud: PointCloud) -> Tensor:
        return self.net(torch.cat([cloud.pos, cloud.feat], 1)).squeeze(1)

    def loss(self, output: Tensor, cloud: PointCloud) -> dict[str, Tensor]:
        label = cloud.point_truth["label"]
        cross = nn.functional.binary_cross_entropy_with_logits(output, label)
        return {"cross": cross, "size": 1e-3 * output.square().mean()}

    def tabulate(self, output: Tensor, cloud: PointCloud) -> Rows:
        noise = torch.rand(len(output))  # validation that uses chance must not disturb training
        label = cloud.point_truth["label"]
        return {"score": output.float().cpu().numpy(), "label": label.cpu().numpy(), "noise": noise.numpy()}

    def summarize(self, rows: Rows) -> dict[str, float]:
        right = (rows["score"] > 0) == (rows["label"] > 0.5)
        return {"accuracy": float(right.mean()), "noise": float(rows["noise"].mean())}


class Events:
    """Event i is a function of i; sizes run from 3 to 40 points."""

    def __init__(self, events: int, first: int = 0) -> None:
        self.first = first
        self.sizes = [3 + (7 * (first + i)) % 38 for i in range(events)]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> PointCloud:
        draw = torch.Generator().manual_seed(self.first + index)
        size = self.sizes[index]
        pos, feat = torch.randn(size, 3, generator=draw), torch.randn(size, 2, generator=draw)
        label = (pos[:, 0] + pos[:, 1] > pos[:, 2]).float()
        return PointCloud(pos, feat, torch.tensor([0, size]), point_truth={"label": label})


class Hurt(Toy):
    """Kills its process at training batch ``die_at``, makes the disk full after the first, and pauses in each."""

    def __init__(self, die_at: int, full_at: int, pause: float) -> None:
        super().__init__()
        self.die_at, self.full_at, self.pause, self.batches = die_at, full_at, pause, 0

    def forward(self, cloud: PointCloud) -> Tensor:
        self.batches += self.training
        time.sleep(self.pause)
        if self.batches == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.full_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.full_at, resource.RLIM_INFINITY))
        return super().forward(cloud)


@dataclass
class Finished:
    """Digest of weights and optimiser state at the end, and the log without the column of seconds."""

    digest: str
    rows: list[dict[str, str]]


def finished(run: Path) -> Finished:
    state = checkpoint.load(checkpoint.listed(run / "checkpoints")[-1])
    assert state["step"] == OPTIONS["steps"]
    with open(run / "metrics.csv", newline="") as file:
        rows = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    return Finished(digest([state["weights"], state["optimizer"], state.get("average")]), rows)


def digest(value: Any) -> str:
    """sha256 of nested dicts, lists, tensors and numbers."""
    if isinstance(value, dict):
        text = "".join(f"{key!r}:{digest(value[key])}" for key in sorted(value, key=str))
    elif isinstance(value, list | tuple):
        text = "".join(map(digest, value))
    elif isinstance(value, Tensor):
        text = f"{value.dtype}{list(value.shape)}{value.numpy().tobytes().hex()}"
    else:
        text = repr(value)
    return hashlib.sha256(text.encode()).hexdigest()


def start(run: Path, **how: Any) -> multiprocessing.process.BaseProcess:
    """The process, under way; it comes from a server that has torch and Lightning loaded, which saves seconds."""
    process = server().Process(target=_child, args=(run, how))
    process.start()
    return process


def train(run: Path, **how: Any) -> int:
    process = start(run, **how)
    process.join(120)
    assert process.exitcode is not None, "still running after two minutes"
    return process.exitcode


def _child(run: Path, how: dict[str, Any]) -> None:
    """Exit codes: 0 done, 130 interrupted, 1 disk full; the message goes to the file ``said``."""
    run.parent.mkdir(parents=True, exist_ok=True)
    os.dup2(os.open(run.parent / "stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.setsid()  # a group of its own, so that a test can press Ctrl-C for it and its workers
    multiprocessing.set_start_method("fork", force=True)  # a second server would load torch for each loader worker
    torch.set_num_threads(1)
    options = TrainOptions(**OPTIONS | how.get("options", {}))
    task = Hurt(how.get("die_at", 0), how.get("full_at", 0), how.get("pause", 0.0))
    if "die_in_write" in how:
        _die_in_write(*how["die_in_write"])
    code, said = 0, ""
    try:
        fit(task, Events(20), Events(6, 100), options, run, resume=how.get("resume", False))
    except Interrupted as error:
        code, said = 130, f"{error} {error.step} {error.signal}"
    except OSError as error:
        code, said = 1, str(error)
    assert not multiprocessing.active_children(), "loader workers outlive the run"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    (run / "said").write_text(said)
    sys.exit(code)


def _die_in_write(step: int, half: bool) -> None:
    """Die with half of the checkpoint of ``step`` written, or just when it stands in its place."""
    rename = os.replace

    def dying(source: Path, target: Path) -> None:
        last = Path(target).name == f"step-{step:08d}.pt"
        if last and half:
            os.truncate(source, os.path.getsize(source) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = dying
