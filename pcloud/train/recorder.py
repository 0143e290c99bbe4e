"""What happens after each optimiser step, in this order: average, validate, log, checkpoint, show, stop when asked.

The order is the promise: a checkpoint of step n is written after row n of the log, so that resuming needs nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as lightning

from pcloud.cloud import PointCloud
from pcloud.tasks.protocol import Task
from pcloud.train import checkpoint
from pcloud.train.average import Average
from pcloud.train.learner import Learner
from pcloud.train.log import Figures, Log
from pcloud.train.progress import Show
from pcloud.train.stop import Stop
from pcloud.train.validation import validate


class Recorder(lightning.Callback):
    """``identity`` goes into every checkpoint; ``state`` is the checkpoint to go on from, empty in a new run."""

    def __init__(
        self,
        run: Path,
        *,
        identity: dict[str, Any],
        state: dict[str, Any],
        val_clouds: Iterable[PointCloud] | None,
        log: Log,
        show: Show,
        stop: Stop,
    ) -> None:
        self.folder = run / "checkpoints"
        self.identity, self.state, self.val_clouds = identity, state, val_clouds
        self.metrics, self.show, self.stop = log, show, stop  # Lightning puts its own ``log`` into a callback
        self.average: Average | None = None
        self._time = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, learner: Learner) -> None:  # type: ignore[override]
        if learner.options.average:  # not before the weights are on their device
            self.average = Average(learner.task, learner.options.average, self.state.get("average"))
        if self.state:
            trainer.optimizers[0].load_state_dict(self.state["optimizer"])
            trainer.precision_plugin.load_state_dict(self.state["precision"])
            self.state = {}  # the memory of a second copy of the weights is not needed any more
        else:
            self._save(trainer, learner)  # a kill at any time can be resumed, and a full disk shows at once
        self.stop.listen()
        self.show.start()
        self._time = time.monotonic()

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: lightning.Trainer, learner: Learner, outputs: Any, batch: PointCloud, batch_idx: int
    ) -> None:
        options = learner.options
        if (batch_idx + 1) % options.accumulate:
            return
        learner.step += 1
        if self.average is not None:
            self.average.update(learner.step)
        asked = self.stop.asked is not None  # once: a signal that comes while this step is saved is for the next
        step, last = learner.step, learner.step == options.steps
        figures = {"seconds": time.monotonic() - self._time, **learner.figures}
        if self.val_clouds is not None and (last or step % options.validate_every == 0):
            figures |= self._validate(trainer, learner, self.val_clouds)
        self.metrics.write(step, figures)
        if last or asked or step % options.checkpoint_every == 0:
            self._save(trainer, learner)
        self.show.step(step, figures)
        trainer.should_stop = asked
        self._time = time.monotonic()

    def _validate(self, trainer: lightning.Trainer, learner: Learner, clouds: Iterable[PointCloud]) -> Figures:
        shown = nullcontext() if self.average is None else self.average.shown()
        with trainer.precision_plugin.val_step_context(), shown:
            figures = validate(cast(Task, learner.task), clouds, learner.device)
        return {f"val/{name}": value for name, value in figures.items()}

    def _save(self, trainer: lightning.Trainer, learner: Learner) -> None:
        self.metrics.sync()
        state = {
            "identity": self.identity,
            "weights": learner.task.state_dict(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "precision": trainer.precision_plugin.state_dict(),
        }
        if self.average is not None:
            state["average"] = self.average.state
        checkpoint.save(self.folder, learner.step, state)
        self.stop.saved = learner.step
