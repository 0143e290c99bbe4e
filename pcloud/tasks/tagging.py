"""Tagging jets, or whole events: which of a few classes does each come from?

An encoder says one vector per event, one linear layer makes the classes' probabilities of it, labels or a teacher train it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from pcloud.cloud import PointCloud
from pcloud.encoders import Encoder
from pcloud.jets.frames import turned
from pcloud.losses import tagging as losses
from pcloud.metrics.tagging import summary
from pcloud.tasks.protocol import Rows

PID = ("charge", "is_charged_hadron", "is_neutral_hadron", "is_photon", "is_electron", "is_muon")
DISPLACEMENT = ("d0", "d0_error", "dz", "dz_error", "tanh_d0", "tanh_dz")
ANGLES = ("deta", "dphi")
GROUPS = {"pid": PID, "displacement": DISPLACEMENT}  # of features that a jet may come without


class Tagging(nn.Module):
    """logits = Linear(encoder(cloud).events). Truth: ``label``, the number of the class, and ``weight`` (1 where there is none).

    classes: how many, or their names. balance: scale weights so that all classes weigh the same in the training set.
    hide: share of the jets, by group of GROUPS, whose features of this group are 0 in training, so that a jet without is no
    stranger. turn: in training turn each jet about its axis by an angle of chance, and mirror half of them: deta and dphi in pos
    and feat (four-vectors stay: features of pairs do not change). teacher: share of the loss that asks for the probabilities
    ``teacher_0``, ... in the store (``pcloud teach``), both sides softened by ``temperature``; the rest asks for the label.
    """

    class_weight: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        classes: int | list[str] = 2,
        balance: bool = False,
        hide: dict[str, float] | None = None,
        turn: bool = False,
        teacher: float = 0.0,
        temperature: float = 2.0,
    ) -> None:
        super().__init__()
        names = [str(number) for number in range(classes)] if isinstance(classes, int) else [str(name) for name in classes]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ValueError(f"classes = {classes} came; two or more expected, their names all different")
        if not encoder.event_channels:
            kind = type(encoder).__name__
            raise ValueError(f"task tagging needs an encoder with features of events; {kind} has none: use deepsets or dgcnn")
        if unknown := [name for name in hide or {} if name not in GROUPS]:
            raise ValueError(f"hide: group {unknown[0]!r} came, one of {', '.join(GROUPS)} expected")
        shares = {"teacher": teacher, **{f"hide, {name}": share for name, share in (hide or {}).items()}}
        if wrong := [name for name, share in shares.items() if not 0 <= share <= 1]:
            raise ValueError(f"{wrong[0]}: {shares[wrong[0]]} came, a share from 0 to 1 expected")
        if not temperature > 0:
            raise ValueError(f"temperature = {temperature} came, more than 0 expected")
        self.names, self.balance, self.hide = names, balance, hide or {}
        self.teacher, self.temperature = teacher, temperature
        self.hidden: dict[str, list[int]] = {}
        self.turn, self.angles = turn, list[int]()
        self.encoder = encoder
        self.head = nn.Linear(encoder.event_channels, len(names))
        self.register_buffer("class_weight", torch.ones(len(names)))

    def begin(self, feat: Sequence[str], truth: Mapping[str, np.ndarray]) -> list[str]:
        """Before training: the names of the features and the truth of all training events; returns what a user should know.

        ValueError of one line where the truth cannot be trained on.
        """
        if lack := [name for name in self._needs() if name not in truth]:
            raise ValueError(f"event_truth column {lack[0]} is missing; the store has: {', '.join(truth) or 'none'}")
        label, classes = truth["label"], len(self.names)
        if len(label) and not 0 <= label.min() <= label.max() < classes:
            raise ValueError(f"labels run from {label.min()} to {label.max()}; task.classes expects 0 to {classes - 1}")
        total = np.bincount(label, truth.get("weight"), minlength=classes).astype(np.float64)
        events = np.bincount(label, minlength=classes)
        if self.balance and (below := [name for name, sum_, n in zip(self.names, total, events, strict=True) if n and sum_ <= 0]):
            raise ValueError(f"task.balance: the weights of class {below[0]} do not add up to more than 0")
        if self.balance:
            scale = np.where(events > 0, total.sum() / np.where(events > 0, total, 1) / (events > 0).sum(), 1.0)
            self.class_weight.copy_(torch.from_numpy(scale))
        self.hidden = {name: [place for place, one in enumerate(feat) if one in GROUPS[name]] for name in self.hide}
        if empty := [name for name, places in self.hidden.items() if not places]:
            raise ValueError(f"task.hide: {empty[0]}: no feature of this group is read: {', '.join(GROUPS[empty[0]])}")
        if self.turn:
            self.angles = [feat.index(name) for name in ANGLES if name in feat]
            if len(self.angles) not in (0, len(ANGLES)):
                raise ValueError(f"task.turn: data.feat has one of {', '.join(ANGLES)}; both or none expected")
        none = [name for name, n in zip(self.names, events, strict=True) if not n]
        return [f"no training event is of class {', '.join(none)}"] if none else []

    def forward(self, cloud: PointCloud) -> Tensor:
        """Logits [events, classes]."""
        if self.training and self.hide:
            cloud = self._hide(cloud)
        if self.training and self.turn:
            cloud = self._turn(cloud)
        events = self.encoder(cloud).events
        assert events is not None
        logits: Tensor = self.head(events)
        return logits

    def _hide(self, cloud: PointCloud) -> PointCloud:
        assert self.hidden, "begin() tells where the groups are"
        seen = cloud.feat.new_ones(cloud.events, cloud.feat.shape[1])
        for name, places in self.hidden.items():
            seen[:, places] = (torch.rand(cloud.events, 1, device=seen.device) >= self.hide[name]).to(seen)
        return replace(cloud, feat=cloud.feat * seen[cloud.event_of_point])

    def _turn(self, cloud: PointCloud) -> PointCloud:
        if cloud.pos.shape[1] != len(ANGLES):
            raise ValueError(f"task.turn: data.pos has {cloud.pos.shape[1]} columns; {', '.join(ANGLES)} expected")
        chance = torch.rand(2, cloud.events, device=cloud.pos.device, dtype=cloud.pos.dtype)
        by, mirror, feat = 2 * math.pi * chance[0], chance[1] < 0.5, cloud.feat.clone()
        if self.angles:
            feat[:, self.angles] = turned(feat[:, self.angles], cloud.offsets, by, mirror)
        return replace(cloud, pos=turned(cloud.pos, cloud.offsets, by, mirror), feat=feat)

    def loss(self, output: Tensor, cloud: PointCloud) -> dict[str, Tensor]:
        truth = cloud.event_truth
        if lack := [name for name in self._needs() if name not in truth]:
            raise ValueError(f"event_truth column {lack[0]} is missing; the events have: {', '.join(truth) or 'none'}")
        label = truth["label"]
        weight = self.class_weight[label] * truth.get("weight", 1.0)
        terms = {}
        if self.teacher < 1:
            terms["label"] = (1 - self.teacher) * losses.cross_entropy(output, label, weight)
        if self.teacher > 0:
            says = torch.stack([truth[f"teacher_{number}"] for number in range(len(self.names))], dim=1)
            terms["teacher"] = self.teacher * losses.distillation(output, says, weight, temperature=self.temperature)
        return terms

    def _needs(self) -> list[str]:
        return ["label", *(f"teacher_{number}" for number in range(len(self.names)) if self.teacher)]

    @staticmethod
    def probabilities(output: Tensor) -> Tensor:
        """[events, classes], adding up to one."""
        return output.detach().float().softmax(1)

    def tabulate(self, output: Tensor, cloud: PointCloud) -> Rows:
        """A row per event: event_id; jet_pt, jet_mass (GeV), label and weight where the cloud has them; p_NAME of each class."""
        rows = {"event_id": cloud.event["event_id"]}
        rows |= {name: cloud.event_truth[name] for name in ("label", "weight") if name in cloud.event_truth}
        rows |= {name: cloud.event[name] for name in ("jet_pt", "jet_mass") if name in cloud.event}
        p = self.probabilities(output)
        rows |= {f"p_{name}": p[:, number] for number, name in enumerate(self.names)}
        return {name: column.cpu().numpy() for name, column in rows.items()}

    def summarize(self, rows: Rows) -> dict[str, float]:
        """accuracy, auc, log_loss, ece; of two classes rejection_50 and rejection_30 too: 1 / eps_B where eps_S is 0.5, 0.3."""
        return summary(rows) if "label" in rows else {}
