"""``fit``: it learns, sums batches rightly, says what is wrong, and leaves the process as it found it."""

from __future__ import annotations

import csv
import json
import logging
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import toy_training as toy
from torch import Tensor, nn

from pcloud.cloud import PointCloud, collate
from pcloud.data.sampler import PointBudget
from pcloud.train import TrainOptions, checkpoint, fit

pytestmark = pytest.mark.filterwarnings("error")


def options(**changed: Any) -> TrainOptions:
    return TrainOptions(**toy.OPTIONS | {"steps": 6} | changed)


def run_fit(run: Path, task: nn.Module | None = None, resume: bool = False, **changed: Any) -> dict[str, float]:
    return fit(task or toy.Toy(), toy.Events(20), toy.Events(6, 100), options(**changed), run, resume=resume)


def test_learns_and_leaves_a_run_folder(tmp_path: Path) -> None:
    task = toy.Toy()
    figures = run_fit(tmp_path / "run", task, steps=60)
    assert figures["step"] == 60 and figures["val/accuracy"] > 0.9
    assert not task.training and next(task.parameters()).device.type == "cpu"
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "checkpoints", "metrics.csv", "tensorboard", "versions.json"
    }  # fmt: skip
    with open(tmp_path / "run" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["train/loss"]) == pytest.approx(float(rows[0]["train/cross"]) + float(rows[0]["train/size"]))
    assert [row["step"] for row in rows if row["val/loss"]] == [str(step) for step in range(4, 61, 4)]
    versions = json.loads((tmp_path / "run" / "versions.json").read_text())
    assert {"pcloud", "torch", "lightning", "numpy", "python", "commit", "platform", "threads"} <= versions.keys()


def test_without_validation(tmp_path: Path) -> None:
    figures = fit(toy.Toy(), toy.Events(5), None, options(), tmp_path / "run")
    assert not any(name.startswith("val/") for name in figures)


def test_leaves_the_process_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Signal handlers, logging levels and torch's settings come back, and Lightning's own talk stays out."""

    def settings() -> tuple[Any, ...]:
        levels = [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")]
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return levels, handlers, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()

    before = settings()
    run_fit(tmp_path / "run")
    assert settings() == before
    with pytest.raises(ValueError):
        run_fit(tmp_path / "bad", Broken("loss"))
    assert settings() == before
    assert not caplog.records


class Linear(nn.Module):
    """Loss w · mean(feat): its gradient is known on paper."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, 1))

    def forward(self, cloud: PointCloud) -> Tensor:
        return cloud.feat @ self.w

    def loss(self, output: Tensor, cloud: PointCloud) -> dict[str, Tensor]:
        return {"mean": output.mean()}


class Three:
    """Events with one point each, whose feature is 1, 2 and 6."""

    sizes = [1, 1, 1]

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> PointCloud:
        return PointCloud(torch.zeros(1, 3), torch.tensor([[(1.0, 2.0, 6.0)[index]]]), torch.tensor([0, 1]))


def test_accumulated_gradient_is_the_mean_of_its_batches(tmp_path: Path) -> None:
    """Three batches of one event: the gradient is (1 + 2 + 6) / 3; clipped to 1 its norm before clipping is logged."""
    task = Linear()
    figures = fit(task, Three(), None, options(steps=1, budget=1, warmup=9, weight_decay=0), tmp_path / "run")
    assert figures["gradient"] == pytest.approx(3.0)
    assert figures["points"] == 3
    assert task.w.item() == pytest.approx(-1e-3, rel=1e-4)  # Adam's first step is its rate: a tenth of 1e-2


class Broken(toy.Toy):
    """From training batch 10 on, its loss or only its gradient is no number."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.batches = what, 0

    def loss(self, output: Tensor, cloud: PointCloud) -> dict[str, Tensor]:
        self.batches += self.training
        terms = super().loss(output, cloud)
        if self.batches >= 10 and self.what == "loss":
            terms["size"] = terms["size"] * torch.nan
        if self.batches >= 10 and self.what == "gradient":
            terms["size"] = (output * 0).square().sum().sqrt()  # 0 / 0 in the derivative
        return terms


@pytest.mark.parametrize(
    ("what", "named"), [("loss", "loss term 'size' is nan"), ("gradient", "norm of the gradient is")]
)
def test_no_number_stops_before_the_weights_are_spoilt(what: str, named: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(ValueError, match=f"stopped at step 4: the {named}") as raised:
        run_fit(run, Broken(what), checkpoint_every=1)
    assert "\n" not in str(raised.value)
    state, _ = checkpoint.newest(run / "checkpoints")
    assert state["step"] == 3
    assert all(value.isfinite().all() for value in state["weights"].values())
    assert (run / "metrics.csv").read_text().splitlines()[-1].startswith("3,")


def test_refuses_a_run_that_is_there(tmp_path: Path) -> None:
    run_fit(tmp_path / "run")
    with pytest.raises(ValueError, match="a run is there already; resume it"):
        run_fit(tmp_path / "run")


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    first = toy.Toy()
    figures = run_fit(tmp_path / "run", first)
    before = {path: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()}
    again = toy.Toy()
    assert run_fit(tmp_path / "run", again, resume=True) == pytest.approx(figures, rel=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert before == {path: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()}


def test_resuming_says_what_differs(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_fit(run)
    with pytest.raises(ValueError, match="train.budget was 60, now 70 came"):
        run_fit(run, resume=True, budget=70)
    with pytest.raises(ValueError, match="training events are others"):
        fit(toy.Toy(), toy.Events(21), None, options(), run, resume=True)
    with pytest.raises(ValueError, match=r"another model: w is nothing, the model has \[1, 1\]|another model: net"):
        run_fit(run, Linear(), resume=True)
    with pytest.raises(ValueError, match="no checkpoint to go on from"):
        run_fit(tmp_path / "nothing", resume=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that the messages are about")
def test_devices_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train.device: cuda came, but torch .* finds only"):
        run_fit(tmp_path / "run", device="cuda")
    with pytest.raises(ValueError, match="train.precision: 16-mixed needs a cuda device"):
        run_fit(tmp_path / "run", precision="16-mixed")
    assert not (tmp_path / "run").exists()


def test_bfloat16_trains_and_keeps_float32_weights(tmp_path: Path) -> None:
    task = toy.Toy()
    figures = run_fit(tmp_path / "run", task, precision="bf16-mixed", steps=60)
    assert figures["val/accuracy"] > 0.85
    assert {value.dtype for value in task.parameters()} == {torch.float32}


class Gathering(toy.Toy):
    """Neighbours by a table: the gradient of x[index] is a sum whose order threads would decide."""

    def forward(self, cloud: PointCloud) -> Tensor:
        index = (torch.arange(cloud.points)[:, None] * 7 + torch.arange(64)) % cloud.points
        hidden = self.net[0](torch.cat([cloud.pos, cloud.feat], 1))
        return self.net[1:](hidden[index].amax(1) + hidden[index].mean(1)).squeeze(1)


def test_same_bits_with_two_threads(tmp_path: Path) -> None:
    torch.set_num_threads(2)
    digests = set()
    for n in range(3):
        task = Gathering()
        fit(task, toy.Events(100), None, options(steps=3, budget=2000, accumulate=1), tmp_path / str(n))
        digests.add(toy.digest(task.state_dict()))
    assert len(digests) == 1


def test_validation_equals_the_task_by_hand(tmp_path: Path) -> None:
    """In batches or all at once: the same accuracy over the same rows, and the mean loss weighted by events."""
    task = toy.Toy()
    figures = run_fit(tmp_path / "run", task)
    events = toy.Events(6, 100)
    with torch.no_grad():
        whole = collate([events[i] for i in range(6)])
        right = (task(whole) > 0) == (whole.point_truth["label"] > 0.5)
        batches = [
            collate([events[i] for i in batch]) for batch in PointBudget(events.sizes, 60, seed=0, shuffle=False)
        ]
        losses = [float(sum(task.loss(task(batch), batch).values())) * batch.events for batch in batches]
    assert len(batches) > 1
    assert figures["val/accuracy"] == pytest.approx(right.float().mean().item())
    assert figures["val/loss"] == pytest.approx(sum(losses) / 6)
